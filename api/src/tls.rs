//! Whom this program believes to be who they say, where it speaks https to others.
//!
//! Every HTTP client of the program is made here, also those that speak http alone: the
//! cryptography is chosen once and handed over, so that none is looked for in the process.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::ClientBuilder;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

/// The largest file of certificates that is read, bytes: some thousand certificates.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The authorities whose certificates are believed.
#[derive(Clone, Debug)]
pub struct Trust {
    authorities: RootCertStore,
}

/// Why it is not known whom to believe.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file cannot be read.
    #[error("{} cannot be read: {source}; give a PEM file with the certificate of the authority", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large to be one of certificates.
    #[error("{} has more than {FILE_BYTES_MAX} bytes; give a PEM file with the certificate of the authority alone", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// There is no certificate in the file.
    #[error(
        "{} holds no certificate; give a PEM file with -----BEGIN CERTIFICATE----- in it: \
         `openssl x509 -inform der -in FILE -out FILE.pem` makes one of a binary file", path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file breaks off, or is not PEM where it should be.
    #[error("certificate {number} in {} cannot be read: {source}; copy the file once more", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// The how-manieth of its certificates, from 1.
        number: usize,
        /// Why.
        source: pem::Error,
    },
    /// What stands where a certificate should is none.
    #[error("certificate {number} in {} is none: {source}; copy the file once more", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// The how-manieth of its certificates, from 1.
        number: usize,
        /// Why.
        source: rustls::Error,
    },
    /// The machine believes nobody.
    #[error(
        "no certificate of an authority is installed on this machine{}; install its \
         package of certificates (ca-certificates), or name a file of them", .0
    )]
    NobodyHere(String),
}

impl Trust {
    /// Nobody: for a client that speaks http alone.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            authorities: RootCertStore::empty(),
        }
    }

    /// The authorities that this machine believes, as they are installed now; those of
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` where these are set. What cannot be read of them is
    /// left out.
    ///
    /// # Errors
    /// [`TrustError::NobodyHere`].
    pub fn machine() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut authorities = RootCertStore::empty();
        let (added, _) = authorities.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.iter().map(|error| format!(": {error}"));
            return Err(TrustError::NobodyHere(why.collect()));
        }
        Ok(Self { authorities })
    }

    /// The authorities of a PEM file and nobody else. Keys and the like in it are passed over.
    ///
    /// # Errors
    /// [`TrustError`] says what is wrong with the file.
    pub fn file(path: &Path) -> Result<Self, TrustError> {
        let bytes = read(path)?;
        let mut authorities = RootCertStore::empty();
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&bytes)) {
            let path = || path.to_owned();
            let certificate = certificate.map_err(|source| TrustError::Pem {
                path: path(),
                number,
                source,
            })?;
            let added = authorities.add(certificate);
            added.map_err(|source| TrustError::NoCertificate {
                path: path(),
                number,
                source,
            })?;
        }
        if authorities.is_empty() {
            return Err(TrustError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(Self { authorities })
    }

    /// A client that believes these, and nobody else, to be made.
    ///
    /// # Panics
    /// Never: ring has what TLS 1.2 and 1.3 ask for.
    pub fn client(self) -> ClientBuilder {
        let cryptography = Arc::new(ring::default_provider());
        let tls = ClientConfig::builder_with_provider(cryptography)
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 ask for")
            .with_root_certificates(self.authorities)
            .with_no_client_auth();
        reqwest::Client::builder().tls_backend_preconfigured(tls)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    let failed = |source| TrustError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    // One more than is taken: a pipe does not say how much will come.
    let mut file = file.take(FILE_BYTES_MAX.saturating_add(1));
    let length = file.read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(length).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(TrustError::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is in this file.
    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        let refused = Trust::file(&path).unwrap_err().to_string();
        assert!(refused.contains("ca.pem"), "{refused}");
        refused
    }

    #[test]
    fn a_file_that_names_no_authority_is_refused_with_what_to_do() {
        let missing = Trust::file(Path::new("/no/such/ca.pem")).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("/no/such/ca.pem cannot be read"),
            "{missing}"
        );
        for (text, told) in [
            ("", "holds no certificate; give a PEM file"),
            ("30 82 01", "holds no certificate; give a PEM file"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "holds no certificate",
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "certificate 1 in"),
            (
                "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
                "certificate 1 in",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "is none",
            ),
        ] {
            let refused = refused(text);
            assert!(refused.contains(told), "{text}: {refused}");
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_to_its_end() {
        let length = usize::try_from(FILE_BYTES_MAX).unwrap() + 1;
        assert!(refused(&" ".repeat(length)).contains("bytes"));
    }

    #[test]
    fn a_client_is_made_without_anything_installed_in_the_process() {
        assert!(Trust::nobody().client().build().is_ok());
    }
}
