//! Load with a memory: customers who write all the time and remember what was acknowledged.
//!
//! A story is one customer's business: register, order, and have the flight
//! told fact by fact. It is at one step at a time and knows whether its last
//! request was answered. So after a crash two things can be checked: what was
//! acknowledged is there exactly once, and what was not answered can simply
//! be sent again.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, Chance, Client, Recording, Request};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::answers::Answers;
use crate::scene::{History, Order, Taken, expected_of, facts_of, lines, list, text};

/// The most facts that a story tells in one request.
const FACTS_AT_ONCE_MAX: u64 = 3;

/// How long who was not answered leaves the nodes alone.
const PAUSE: Duration = Duration::from_millis(50);

/// The server did not answer, or refused because it is about to leave.
/// Whether the request took effect is unknown.
pub(crate) struct Gone;

/// One customer's business with the service.
#[derive(Debug)]
pub(crate) struct Story {
    registration: Value,
    user: Option<String>,
    order: Option<Value>,
    delivery: Option<String>,
    facts: Vec<Value>,
    /// So many of the facts were acknowledged.
    told: usize,
    /// So many more were sent with the last request.
    sent: usize,
    /// The last request was not answered.
    in_doubt: bool,
    /// It was over when it was checked, so nothing of it is new.
    settled: bool,
    /// Where the log was at the last answer, as it named it: another node may be behind.
    seen: String,
    answers: Answers,
}

impl Story {
    fn new(chance: &mut Chance, answers: &Answers) -> Self {
        let name = format!("user-{:016x}", chance.bits());
        Self {
            registration: json!({"name": name, "email": format!("{name}@example.org")}),
            user: None,
            order: None,
            delivery: None,
            facts: Vec::new(),
            told: 0,
            sent: 0,
            in_doubt: false,
            settled: false,
            seen: "0".to_owned(),
            answers: answers.clone(),
        }
    }

    /// The answer to a request that comes behind those before, unless the server is gone or about
    /// to leave.
    async fn answered(&mut self, request: Request) -> Result<Answer, Gone> {
        let request = request.header("min-position", &self.seen);
        let answer = answered(request).await?;
        answer
            .required_header("stream-position")
            .clone_into(&mut self.seen);
        Ok(answer)
    }

    /// Nothing is left to do.
    fn is_over(&self) -> bool {
        self.delivery.is_some() && self.told == self.facts.len()
    }

    /// Takes the next step, or the last one again if it was not answered.
    async fn step(&mut self, client: &Client, chance: &mut Chance) -> Result<(), Gone> {
        let again = std::mem::replace(&mut self.in_doubt, true);
        if self.user.is_none() {
            self.register(client, again).await?;
        } else if self.delivery.is_none() {
            self.place_order(client, chance, again).await?;
        } else {
            self.tell(client, chance, again).await?;
        }
        self.in_doubt = false;
        Ok(())
    }

    async fn register(&mut self, client: &Client, again: bool) -> Result<(), Gone> {
        let asked = self.answers.ask();
        let registration = client.post("/v1/users").json(&self.registration);
        let answer = self.answered(registration).await?;
        if answer.status() == 201 {
            self.answers.note(asked, &answer);
        }
        let user = match answer.status() {
            // The unanswered request had registered the customer: the address is taken, by them.
            409 if again => self.user_by_email(client).await?,
            _ => text(&answer.expect(201).json(), "/id").to_owned(),
        };
        self.user = Some(user);
        Ok(())
    }

    async fn user_by_email(&mut self, client: &Client) -> Result<String, Gone> {
        let email = text(&self.registration, "/email");
        let request = client.get(&format!("/v1/users?email={email}"));
        let request = request.header("prefer", "wait=10");
        let found = self.answered(request).await?.expect(200).json();
        Ok(text(&found, "/items/0/id").to_owned())
    }

    async fn place_order(
        &mut self,
        client: &Client,
        chance: &mut Chance,
        again: bool,
    ) -> Result<(), Gone> {
        let user = self
            .user
            .clone()
            .expect("an order follows the registration");
        let flight = Recording::load(269);
        let order = self
            .order
            .get_or_insert_with(|| Order::request(&user, &flight, chance))
            .clone();
        let asked = self.answers.ask();
        let request = client.post("/v1/deliveries").json(&order);
        let answer = self.answered(request).await?;
        if answer.status() == 201 {
            self.answers.note(asked, &answer);
        }
        // Sent again, the same order is answered with the delivery it made.
        let status = if again && answer.status() == 200 {
            200
        } else {
            201
        };
        let delivery = text(&answer.expect(status).json(), "/id").to_owned();
        self.facts = facts_of(flight.events(&Order::mission(&delivery, &order, chance)));
        self.delivery = Some(delivery);
        Ok(())
    }

    async fn tell(
        &mut self,
        client: &Client,
        chance: &mut Chance,
        again: bool,
    ) -> Result<(), Gone> {
        if !again {
            let left = self.facts.len() - self.told;
            let at_once =
                usize::try_from(1 + chance.below(FACTS_AT_ONCE_MAX)).expect("a small number");
            self.sent = at_once.min(left);
        }
        let facts = self
            .facts
            .get(self.told..self.told + self.sent)
            .unwrap_or_default();
        let request = client
            .post("/v1/drone-events")
            .body("application/x-ndjson", lines(facts));
        let count = facts.len() as u64;
        let taken = Taken::of(&self.answered(request).await?.expect(200));
        assert_eq!(taken.rejected, [] as [Value; 0]);
        assert_eq!(taken.accepted + taken.duplicates, count);
        assert!(
            again || taken.duplicates == 0,
            "told for the first time, yet known: {taken:?}"
        );
        self.told += self.sent;
        self.sent = 0;
        Ok(())
    }

    /// Checks that what was acknowledged is there exactly once, and nothing that was never sent.
    async fn check(&self, client: &Client) {
        let Some(user) = &self.user else { return };
        let found = client.read(&format!("/v1/users/{user}")).await;
        assert_eq!(text(&found, "/email"), text(&self.registration, "/email"));
        let twice = client
            .post("/v1/users")
            .json(&self.registration)
            .send()
            .await;
        twice.expect_problem(409);
        if let Some(order) = &self.order {
            self.check_order(client, user, order).await;
        }
    }

    async fn check_order(&self, client: &Client, user: &str, order: &Value) {
        let listed = client
            .get(&format!("/v1/users/{user}/deliveries"))
            .header("prefer", "wait=10");
        let listed = listed.send().await.expect(200).json();
        let ids: Vec<_> = list(&listed, "/items")
            .iter()
            .map(|item| text(item, "/id"))
            .collect();
        let Some(delivery) = &self.delivery else {
            assert!(ids.len() <= 1, "one order, in doubt, became {ids:?}");
            return;
        };
        assert_eq!(ids, [delivery]);
        let path = format!(
            "/v1/deliveries/ext:{}?user_id={user}",
            text(order, "/external_id")
        );
        assert_eq!(text(&client.read(&path).await, "/id"), delivery);
        let twice = client
            .post("/v1/deliveries")
            .json(order)
            .send()
            .await
            .expect(200)
            .json();
        assert_eq!(text(&twice, "/id"), delivery);
        self.check_facts(client, delivery).await;
    }

    async fn check_facts(&self, client: &Client, delivery: &str) {
        let before = History::of(client, delivery).await;
        let acknowledged = self.facts.get(..self.told).unwrap_or_default();
        if !acknowledged.is_empty() {
            let request = client
                .post("/v1/drone-events")
                .body("application/x-ndjson", lines(acknowledged));
            let taken = Taken::of(&request.send().await.expect(200));
            assert_eq!(
                (taken.accepted, taken.duplicates),
                (0, acknowledged.len() as u64),
                "{taken:?}"
            );
        }
        let after = History::of(client, delivery).await;
        assert_eq!(before.items, after.items);
        assert!(
            after.types().starts_with(&["Created", "Scheduled"]),
            "{:?}",
            after.types()
        );
        let (at_least, flown) = (expected_of(acknowledged), after.flown());
        let at_most = expected_of(self.facts.get(..self.told + self.sent).unwrap_or_default());
        assert!(
            flown.starts_with(&at_least),
            "acknowledged {at_least:?}, found {flown:?}"
        );
        assert!(
            at_most.starts_with(&flown),
            "sent {at_most:?}, found {flown:?}"
        );
    }
}

/// The answer to `request`, unless the server is gone or about to leave.
async fn answered(request: Request) -> Result<Answer, Gone> {
    let answer = request.try_send().await.map_err(|_| Gone)?;
    if answer.status() == 503 {
        Err(Gone)
    } else {
        Ok(answer)
    }
}

/// Customers who write at the same time.
#[derive(Debug)]
pub(crate) struct Crowd {
    customers: Vec<Customer>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Customer {
    /// Only the last may be under way.
    stories: Vec<Story>,
    answers: Answers,
}

impl Crowd {
    pub(crate) fn new(customers: usize) -> Self {
        Self::noting(customers, &Answers::default())
    }

    /// Customers who note what was made for them.
    pub(crate) fn noting(customers: usize, answers: &Answers) -> Self {
        let customer = || Customer {
            stories: Vec::new(),
            answers: answers.clone(),
        };
        Self {
            customers: std::iter::repeat_with(customer).take(customers).collect(),
        }
    }

    /// Lets all customers write until the server is gone, adding a permit to
    /// `acknowledged` for each answer, and gives the crowd back.
    pub(crate) fn write(
        self,
        client: &Client,
        chance: &mut Chance,
        acknowledged: &Arc<Semaphore>,
    ) -> JoinSet<Customer> {
        let mut writing = JoinSet::new();
        for customer in self.customers {
            let chance = Chance::new(chance.bits());
            writing.spawn(customer.write(client.clone(), chance, Arc::clone(acknowledged)));
        }
        writing
    }

    /// Lets all customers write until `stop` becomes true, to any of the nodes that are there at
    /// the moment: who is not answered asks again, another one as likely as the same, until that
    /// story is over. `told` is called for each answer.
    pub(crate) fn write_on(
        self,
        nodes: &watch::Receiver<Vec<Client>>,
        chance: &mut Chance,
        stop: &watch::Receiver<bool>,
        told: &(impl Fn() + Clone + Send + Sync + 'static),
    ) -> JoinSet<Customer> {
        let mut writing = JoinSet::new();
        for (number, customer) in self.customers.into_iter().enumerate() {
            let (chance, nodes, told) = (Chance::new(chance.bits()), nodes.clone(), told.clone());
            writing.spawn(customer.write_on((number, nodes), chance, stop.clone(), told));
        }
        writing
    }

    /// The crowd when everyone has noticed that the server is gone.
    pub(crate) async fn rest(writing: JoinSet<Customer>) -> Self {
        Self {
            customers: writing.join_all().await,
        }
    }

    /// Checks every story: see [`Story::check`].
    pub(crate) async fn check(&self, client: &Client) {
        for story in self.customers.iter().flat_map(|customer| &customer.stories) {
            story.check(client).await;
        }
    }

    /// The same, all customers at once.
    pub(crate) async fn check_side_by_side(&mut self, client: &Client) {
        for customer in &mut self.customers {
            for story in &mut customer.stories {
                story.settled = false;
            }
        }
        self.check_what_is_new(client).await;
    }

    /// Checks every story that was under way when it was last checked, all customers at once.
    pub(crate) async fn check_what_is_new(&mut self, client: &Client) {
        let mut checking = JoinSet::new();
        for customer in self.customers.drain(..) {
            checking.spawn(customer.check_what_is_new(client.clone()));
        }
        self.customers = checking.join_all().await;
    }

    /// Brings every story to its end.
    pub(crate) async fn finish(&mut self, client: &Client, chance: &mut Chance) {
        let customers = self.customers.iter_mut();
        for story in customers.flat_map(|customer| &mut customer.stories) {
            while !story.is_over() {
                assert!(
                    story.step(client, chance).await.is_ok(),
                    "the server is gone"
                );
            }
        }
    }
}

impl Customer {
    async fn write(
        mut self,
        client: Client,
        mut chance: Chance,
        acknowledged: Arc<Semaphore>,
    ) -> Self {
        loop {
            if self.stories.last().is_none_or(Story::is_over) {
                self.stories.push(Story::new(&mut chance, &self.answers));
            }
            let story = self.stories.last_mut().expect("there is one under way");
            if story.step(&client, &mut chance).await.is_err() {
                return self;
            }
            acknowledged.add_permits(1);
        }
    }

    async fn write_on(
        mut self,
        (number, nodes): (usize, watch::Receiver<Vec<Client>>),
        mut chance: Chance,
        stop: watch::Receiver<bool>,
        told: impl Fn(),
    ) -> Self {
        let mut pause = tokio::time::interval(PAUSE);
        pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut chosen = None;
        while !*stop.borrow() {
            let Some(client) = chosen.clone() else {
                pause.tick().await;
                let nodes = nodes.borrow().clone();
                let node = usize::try_from(chance.below(nodes.len().max(1) as u64));
                chosen = node.ok().and_then(|node| nodes.get(node).cloned());
                continue;
            };
            if self.stories.last().is_none_or(Story::is_over) {
                self.stories.push(Story::new(&mut chance, &self.answers));
                // Each node has its customers, so that not all of them stand still with one.
                let nodes = nodes.borrow();
                let home = number.checked_rem(nodes.len());
                chosen = home.and_then(|home| nodes.get(home).cloned());
            }
            let story = self.stories.last_mut().expect("there is one under way");
            match story.step(&client, &mut chance).await {
                Ok(()) => told(),
                Err(Gone) => chosen = None,
            }
        }
        self
    }

    async fn check_what_is_new(mut self, client: Client) -> Self {
        for story in self.stories.iter_mut().filter(|story| !story.settled) {
            story.check(&client).await;
            story.settled = story.is_over();
        }
        self
    }
}
