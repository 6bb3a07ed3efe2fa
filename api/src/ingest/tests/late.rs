//! What is told long after it happened, or by a drone whose clock is behind.

use std::convert::Infallible;

use domain::actor::{Actor, ActorKind};
use domain::decider::Occurrence;
use domain::delivery::{Confirmation, DeliveryEvent, ReleaseMethod};
use domain::quantity::DistanceM;

use super::*;
use crate::application::{Request, TransactError};

impl Service {
    fn now(&self) -> Timestamp {
        self.ingest.application().now().unwrap()
    }
}

#[tokio::test]
async fn given_a_release_that_is_told_late_then_its_confirmation_is_waited_for_since_it_was_told() {
    let mut service = Service::with_a_booking_to_confirm(Confirmation::Pin).await;
    let flight = flight(service.delivery);
    service.receive(&flight[..7]).await;
    for _restart in 0..2 {
        let delivery = service.delivery();
        assert_eq!(delivery.released_unconfirmed_since(), Some(service.now()));
        // The steps have the drone's own times.
        let mut steps = delivery.milestones().iter();
        assert!(steps.all(|step| step.at < receipt().at));
        service.restart();
    }
}

#[tokio::test]
async fn what_is_decided_is_recorded_now_to_who_goes_on_in_the_same_commit() {
    let service = Service::with_a_booking_to_confirm(Confirmation::Pin).await;
    service.receive(&flight(service.delivery)[..6]).await;
    let name = StreamName::delivery(service.delivery);
    let released = DeliveryEvent::Released {
        mission: mission(),
        method: ReleaseMethod::Winch,
        evidence: None,
        distance: DistanceM::new(3),
    };
    let released = [Occurrence::new(released, Timestamp::MIN)];
    let since = |state: &Option<Delivery>| state.as_ref().unwrap().released_unconfirmed_since();
    let request = Request::of_client(request(), Actor::unnamed(ActorKind::System));
    let looked = service.ingest.application().transact(&request, |draft| {
        let mut delivery = draft.load::<Option<Delivery>>(name)?;
        draft.record(&mut delivery, None, None, &released);
        let loaded = draft.load::<Option<Delivery>>(name)?;
        Ok::<_, TransactError<Infallible>>([since(&delivery.state), since(&loaded.state)])
    });
    assert_eq!(looked.await.unwrap().value, [Some(service.now()); 2]);
    assert_eq!(since(&Some(service.delivery())), Some(service.now()));
}
