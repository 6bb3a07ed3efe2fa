//! An authority of the tests' own: it vouches for a server on this machine.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// An authority that nobody knows unless told.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new one under this name, with a key of its own.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut params = params("authority.example.org");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key());
        Self {
            issuer: issuer.expect("these parameters can be signed"),
        }
    }

    /// Its certificate as a PEM file has it: whoever believes that, believes its servers.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The certificate of a server on 127.0.0.1 that it vouches for, and its key, as PEM files have
    /// them.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn server_pem(&self) -> (String, String) {
        let key = key();
        let certificate = params("127.0.0.1").signed_by(&key, &self.issuer);
        let certificate = certificate.expect("these parameters can be signed");
        (certificate.pem(), key.serialize_pem())
    }

    /// What a server on 127.0.0.1 answers with that it vouches for.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let key = key();
        let certificate = params("127.0.0.1").signed_by(&key, &self.issuer);
        let certificate = certificate.expect("these parameters can be signed");
        let server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 ask for")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into());
        TlsAcceptor::from(Arc::new(server.expect("the key is the certificate's")))
    }
}

fn params(name: &str) -> CertificateParams {
    let params = CertificateParams::new([name.to_owned()]);
    params.expect("it is a name or an address")
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the machine has enough chance for a key")
}
