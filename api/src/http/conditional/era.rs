//! Which life of which log an entity tag is of.
//!
//! Version 7 of a delivery need not be the version 7 that it had before the
//! log was restored, or went on without its end. So every tag that leaves
//! bears a mark of the log and its epoch, and a tag with another mark matches
//! nothing: a reader gets the full answer, an editor 412.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{ETAG, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use axum::response::Response;
use eventstore::LogIdentity;
use tower::{Layer, Service};

use super::{Listed, ListedTag, header_tags};

/// What the mark is derived under, so that no other hash of ours equals one.
const CONTEXT: &str = "airpost 2026-11 http entity tag era v1";

/// The mark of a log's epoch. Two epochs have the same one with a chance of 1 in 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(u32);

impl Era {
    /// Of this log in this epoch.
    pub(crate) fn of(identity: LogIdentity) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher
            .update(identity.log_id.as_bytes())
            .update(&identity.epoch.to_le_bytes());
        let mut mark = [0; 4];
        hasher.finalize_xof().fill(&mut mark);
        Self(u32::from_be_bytes(mark))
    }

    fn suffix(self) -> String {
        format!(".{:08x}", self.0)
    }

    /// A tag as it leaves, from what stands between its quotes.
    fn marked(self, tag: &HeaderValue) -> Option<HeaderValue> {
        let opaque = tag.to_str().ok()?.strip_suffix('"')?;
        HeaderValue::try_from(format!("{opaque}{}\"", self.suffix())).ok()
    }

    /// A listed tag without the mark; one of another era as what no tag of ours is.
    fn unmarked(self, tag: &ListedTag) -> String {
        let weak = if tag.weak { "W/" } else { "" };
        match tag.opaque.strip_suffix(&self.suffix()) {
            Some(opaque) => format!("{weak}\"{opaque}\""),
            None => format!("{weak}\"other-era\""),
        }
    }

    fn unmark(self, headers: &mut HeaderMap, name: &HeaderName) {
        // What is no list of tags is left for whoever reads it to refuse.
        let Some(Ok(Listed::Tags(tags))) = header_tags(headers, name) else {
            return;
        };
        let tags: Vec<_> = tags.iter().map(|tag| self.unmarked(tag)).collect();
        if let Ok(value) = HeaderValue::try_from(tags.join(", ")) {
            headers.insert(name, value);
        }
    }
}

/// Takes the mark off the tags that come in, and puts it on the tag that goes out.
impl<S> Layer<S> for Era {
    type Service = Marking<S>;

    fn layer(&self, inner: S) -> Marking<S> {
        Marking { era: *self, inner }
    }
}

/// What is behind the layer.
#[derive(Clone, Debug)]
pub(crate) struct Marking<S> {
    era: Era,
    inner: S,
}

impl<S> Service<Request> for Marking<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Marked<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        for name in [IF_MATCH, IF_NONE_MATCH] {
            self.era.unmark(request.headers_mut(), &name);
        }
        Marked {
            era: self.era,
            answer: self.inner.call(request),
        }
    }
}

/// An answer in the making whose tag will be marked.
#[derive(Debug)]
pub(crate) struct Marked<F> {
    era: Era,
    answer: F,
}

impl<F, E> Future for Marked<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(Pin::new(&mut self.answer).poll(cx))?;
        let headers = response.headers_mut();
        if let Some(marked) = headers.get(ETAG).and_then(|tag| self.era.marked(tag)) {
            headers.insert(ETAG, marked);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::{EntityTag, Preconditions, Verdict};
    use super::*;
    use axum::http::Method;

    fn era(log_id: u128, epoch: u32) -> Era {
        let log_id = Uuid::from_u128(log_id);
        Era::of(LogIdentity { log_id, epoch })
    }

    fn verdict(era: Era, method: &Method, name: &HeaderName, value: HeaderValue) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        era.unmark(&mut headers, name);
        let preconditions = Preconditions::of(method, &headers).unwrap();
        preconditions.evaluate(EntityTag::new(7, 1))
    }

    #[test]
    fn a_tag_matches_in_its_own_epoch_and_in_no_other() {
        let now = era(1, 2);
        let tag = EntityTag::new(7, 1).header_value();
        for (from, reader, editor) in [
            (now, Verdict::NotModified, Verdict::Proceed),
            (era(1, 1), Verdict::Proceed, Verdict::Failed),
            (era(2, 2), Verdict::Proceed, Verdict::Failed),
        ] {
            let marked = from.marked(&tag).unwrap();
            let read = verdict(now, &Method::GET, &IF_NONE_MATCH, marked.clone());
            assert_eq!(read, reader, "{marked:?}");
            assert_eq!(verdict(now, &Method::PATCH, &IF_MATCH, marked), editor);
        }
        // A tag without any mark was never handed out.
        assert_eq!(
            verdict(now, &Method::PATCH, &IF_MATCH, tag),
            Verdict::Failed
        );
    }

    #[test]
    fn a_star_stays_a_star_and_a_list_a_list() {
        let now = era(1, 2);
        let star = HeaderValue::from_static("*");
        assert_eq!(
            verdict(now, &Method::PATCH, &IF_MATCH, star),
            Verdict::Proceed
        );
        let tag = now.marked(&EntityTag::new(7, 1).header_value()).unwrap();
        let list = format!("\"3-1.00000000\", W/\"x\", {}", tag.to_str().unwrap());
        let list = HeaderValue::try_from(list).unwrap();
        assert_eq!(
            verdict(now, &Method::PATCH, &IF_MATCH, list),
            Verdict::Proceed
        );
    }
}
