//! The closed list of what can go wrong over HTTP: one entry per problem type,
//! each with the page that its `type` leads to.

use axum::http::StatusCode;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident $status:ident $slug:literal $title:literal retryable: $retryable:literal $explanation:literal;)*) => {
        /// What went wrong, as a class: decides `type`, `code`, `title`, `status` and `retryable`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $name,)*
        }

        impl ProblemKind {
            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The last part of its `type`, and its `code`: what programs should compare.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* }
            }

            /// The status it is answered with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What it is in a few words, the same each time.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// Whether the same request, sent again later, may succeed.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)* }
            }

            /// What its page says: what it means and what to do.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$name => $explanation,)* }
            }
        }
    };
}

kinds! {
    /// The request is not HTTP as it should be.
    MalformedRequest BAD_REQUEST "malformed-request" "Malformed request" retryable: false
        "The request could not be read as HTTP. Look at the request line and the header lines.";
    /// The body is not JSON in UTF-8, or nested too deep.
    MalformedBody BAD_REQUEST "malformed-body" "Malformed body" retryable: false
        "The body is not well-formed JSON in UTF-8, or is nested deeper than 32 levels. The detail says where reading \
         stopped. What is well-formed but wrong in its content is answered with invalid-request instead.";
    /// A header has a value that cannot be read.
    MalformedHeader BAD_REQUEST "malformed-header" "Malformed header" retryable: false
        "A header that decides what would be done has a value that cannot be read, so nothing was done. The detail \
         names the header and the form it takes.";
    /// A cursor was not made by this list.
    BadCursor BAD_REQUEST "bad-cursor" "Bad cursor" retryable: false
        "The cursor was not handed out by this list, or not with these parameters, or it was damaged on the way. \
         Pass on next as it is, or begin again without a cursor.";
    /// There is nothing at this address.
    NotFound NOT_FOUND "not-found" "Not found" retryable: false
        "There is nothing at this address. An id that is malformed or of the wrong kind, and a thing that belongs to \
         somebody else, are answered in the same way as one that never was.";
    /// What became of an operation is not kept any more.
    OperationGone GONE "operation-gone" "Operation gone" retryable: false
        "The operation was asked for so long ago that what became of it is not kept any more. Look at what it was \
         about instead.";
    /// The address is right, the method is not.
    MethodNotAllowed METHOD_NOT_ALLOWED "method-not-allowed" "Method not allowed" retryable: false
        "The address exists, but does not take this method. The header Allow lists the methods it takes.";
    /// What there is does not fit the header Accept.
    NotAcceptable NOT_ACCEPTABLE "not-acceptable" "Not acceptable" retryable: false
        "The header Accept rules out every form in which this is available. The detail lists the forms. Nothing was done.";
    /// The request did not arrive in time.
    RequestTimeout REQUEST_TIMEOUT "request-timeout" "Request timeout" retryable: true
        "The request did not arrive in time, so nothing was done. Send it again, without pauses.";
    /// The current state does not allow it.
    StateConflict CONFLICT "state-conflict" "The current state does not allow this" retryable: false
        "The request is fine in itself, but what it is about is in a state that does not allow it. The detail names \
         the state. Nothing was changed.";
    /// Another live user has this e-mail address.
    EmailTaken CONFLICT "email-taken" "E-mail address taken" retryable: false
        "Another user has this e-mail address. An address belongs to one user at a time. Nothing was changed.";
    /// Another delivery of the user has this external id.
    ExternalIdTaken CONFLICT "external-id-taken" "External id taken" retryable: false
        "This user has a delivery with this external_id already, and it was requested with other content. href leads \
         to it. The same request with the same external_id is answered with the delivery it made. Take another \
         external_id for another delivery.";
    /// A delivery that is not over has the package.
    PackageReserved CONFLICT "package-reserved" "Package reserved" retryable: false
        "A delivery that is not over has this package, so no other can have it, and nothing else can be declared of it. \
         href leads to that delivery. Nothing was changed. With Retry-After that delivery is over and lets go of it just now.";
    /// A delivery that is not over has a package with this tag.
    TagInUse CONFLICT "tag-in-use" "Tag in use" retryable: false
        "A drone tells packages by their tags, so a tag is in one delivery at a time. href leads to the delivery that is \
         not over and has a package with this one. Take another tag, or wait until that delivery is over. With Retry-After \
         it is, and lets go of the tag just now.";
    /// Nothing came of a booking that was taken.
    NotScheduled CONFLICT "not-scheduled" "Not scheduled" retryable: false
        "The booking was taken, and then a step of it came to nothing: reason says which, detail what to do. What had \
         been done for it was undone, but for a payment of which that cannot be said: somebody looks at that. href \
         leads to the delivery, which is rejected.";
    /// The billing service will not pay.
    PaymentDeclined CONFLICT "payment-declined" "Payment declined" retryable: false
        "The billing service declined to authorize the payment, so the booking was refused. Nothing was charged. href \
         leads to the delivery, which is rejected.";
    /// The user may not do this while suspended.
    UserSuspended CONFLICT "user-suspended" "User suspended" retryable: false
        "The user is suspended and can book nothing until reinstated.";
    /// The user has as many deliveries under way as they may.
    QuotaUsedUp CONFLICT "quota-used-up" "Quota used up" retryable: false
        "The user has as many deliveries under way as they may have at once; live_deliveries of the user tells how \
         many. Wait until one is over, or have one cancelled. Nothing was kept of the booking.";
    /// Another drone event has this number.
    SequenceConflict CONFLICT "sequence-conflict" "Sequence number taken" retryable: false
        "Another drone event of this session was taken under the same seq, with other content. Numbers are never \
         used twice within a session: begin a new session if the sender has lost count.";
    /// The copy that the change was based on is out of date.
    PreconditionFailed PRECONDITION_FAILED "precondition-failed" "Precondition failed" retryable: false
        "What should be changed has changed since it was read, so nothing was done. current is how it is now, and \
         the header ETag is its tag: decide again on that basis.";
    /// The body is too large.
    ContentTooLarge PAYLOAD_TOO_LARGE "content-too-large" "Content too large" retryable: false
        "The body is larger than is taken here. Nothing of it was applied. The detail names the limit; split the \
         request up.";
    /// The request target is too long.
    UriTooLong URI_TOO_LONG "uri-too-long" "URI too long" retryable: false
        "The address in the request line is longer than is taken. Nothing was done.";
    /// The body is of a type that is not taken.
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE "unsupported-media-type" "Unsupported media type" retryable: false
        "The header Content-Type or Content-Encoding says that the body is in a form that is not taken here. The \
         detail lists the forms that are. Nothing was done.";
    /// The content of the request is wrong.
    InvalidRequest UNPROCESSABLE_ENTITY "invalid-request" "Invalid request" retryable: false
        "The request was understood, but its content is wrong. errors lists every fault with a JSON pointer (RFC \
         6901) into the body, or to the query parameter. Nothing was changed.";
    /// The key was used for another request.
    IdempotencyKeyReused UNPROCESSABLE_ENTITY "idempotency-key-reused" "Idempotency key reused" retryable: false
        "Another request was carried out under this Idempotency-Key: to another address, or with another body. A key \
         is for one request and its repetitions. Take a new one for a new request. Nothing was changed.";
    /// The change must say what it is based on.
    PreconditionRequired PRECONDITION_REQUIRED "precondition-required" "Precondition required" retryable: false
        "A change must say which state it is based on, so that nobody overwrites what they have not seen. Send the \
         ETag of what you read as If-Match, or If-Match: * to overwrite whatever is there.";
    /// Too much waits for something that did not come.
    BacklogFull TOO_MANY_REQUESTS "backlog-full" "Backlog full" retryable: true
        "Too many drone events of this session wait for a mission or a delivery that is not known. Send the \
         mission's assignment, which is still taken, or this event again later: what waits does so for 15 minutes.";
    /// The header lines are too large.
    HeadersTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE "header-fields-too-large" "Header fields too large" retryable: false
        "The header lines of the request are larger than is taken. Nothing was done.";
    /// A fault of ours.
    Internal INTERNAL_SERVER_ERROR "internal-error" "Internal error" retryable: false
        "Something went wrong on our side. Whether the request had an effect is not known: look before sending it \
         again, or send it with the Idempotency-Key or the external_id it had. The request id finds the cause in the log.";
    /// Too much is going on.
    Overloaded SERVICE_UNAVAILABLE "overloaded" "Overloaded" retryable: true
        "More is going on than can be worked on in time, so this request was refused at once and had no effect. Send \
         it again after the time that Retry-After names.";
    /// The answer took too long.
    TimedOut SERVICE_UNAVAILABLE "timed-out" "Timed out" retryable: true
        "The answer took too long. The request may have had its effect or may yet have it: look before sending it \
         again, or send it with the Idempotency-Key or the external_id it had.";
    /// Nothing can be written for now.
    ReadOnly SERVICE_UNAVAILABLE "read-only" "Read only" retryable: true
        "The log cannot be written to, so nothing that changes anything is taken; reading goes on. Where the detail \
         names the cluster that keeps the log, that goes on by itself once the cluster is well: send the request again \
         after the time that Retry-After names, with the Idempotency-Key it had. Else an operator must look, as after \
         an error of the disk, and whether the very request that met it had an effect shows after a restart.";
    /// The disk is full.
    StorageFull INSUFFICIENT_STORAGE "storage-full" "Storage full" retryable: true
        "There is no space left to keep what the request would change, so nothing was changed. An operator must make \
         space; then the same request succeeds.";
    /// A read model is not there yet.
    ProjectionLagging SERVICE_UNAVAILABLE "projection-lagging" "Not there yet" retryable: true
        "The list has not yet seen the position that was asked for. Send the request again after the time that \
         Retry-After names.";
    /// The service is starting or stopping.
    NotReady SERVICE_UNAVAILABLE "not-ready" "Not ready" retryable: true
        "The service is starting, and its views have not reached the end of the log, or it is stopping. Send the \
         request again after the time that Retry-After names. If the detail asks for a restart or another release, \
         waiting alone does not help: an operator must look.";
    /// A view could not be built anew.
    RebuildFailed INTERNAL_SERVER_ERROR "rebuild-failed" "Rebuild failed" retryable: false
        "The view could not be built anew from the log, and the one that was there goes on answering. The detail says \
         what stood in the way. If a record cannot be read, start a release that can, and ask again.";
}

impl ProblemKind {
    /// The kind whose page lies at `/problems/{slug}`.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_slug_of_its_own_and_is_found_by_it() {
        let slugs: HashSet<_> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            assert_eq!(ProblemKind::from_slug(kind.slug()), Some(*kind));
            assert!(
                kind.slug()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{kind:?}"
            );
        }
        assert_eq!(ProblemKind::from_slug("none-such"), None);
    }

    #[test]
    fn every_kind_is_an_error_with_something_to_read() {
        for kind in ProblemKind::ALL {
            let status = kind.status();
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{kind:?}"
            );
            assert!(
                !kind.title().is_empty() && kind.explanation().ends_with('.'),
                "{kind:?}"
            );
        }
    }
}
