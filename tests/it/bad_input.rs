//! Bad input: each kind gets its precise refusal, every fault is named, and nothing is written.

mod body;
mod drone_events;
mod request;

use serde_json::{Value, json};
use tests::{Answer, Client, Recording, Request, Server};

use crate::scene::{Order, airpost, chance, list, new_user, scratch, text};

/// A server with one user and one delivery, and what the log held when it was set up.
struct Stage {
    server: Server,
    client: Client,
    user: String,
    order: Order,
    head: u64,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Self {
        Self::set_with(&[]).await
    }

    /// The same with further options of `serve`.
    async fn set_with(options: &[&str]) -> Self {
        let (folder, mut chance) = (scratch(), chance());
        let server = airpost().serve_with(folder.path(), options).await;
        let client = server.client();
        let user = new_user(&client, &mut chance).await;
        let order = Order::place_for(&client, &user, &Recording::load(268), &mut chance).await;
        let head = head(&client, &user).await;
        Self {
            server,
            client,
            user,
            order,
            head,
            _folder: folder,
        }
    }

    /// A request for a delivery that is fine but for `member`, which is now `value`.
    fn delivery_with(&self, member: &str, value: Value) -> Value {
        let mut body = self.order.request.clone();
        let members = body.as_object_mut().expect("a request is an object");
        members.insert("external_id".to_owned(), json!("another"));
        members.insert(member.to_owned(), value);
        body
    }

    fn delivery_without(&self, member: &str) -> Value {
        let mut body = self.delivery_with("external_id", json!("another"));
        body.as_object_mut()
            .expect("a request is an object")
            .remove(member);
        body
    }

    /// The request is refused with `status` and names exactly the faults at `pointers`.
    async fn refuses(&self, request: Request, status: u16, pointers: &[&str]) -> Answer {
        let answer = request.send().await;
        let problem = answer.expect_problem(status);
        let no_faults = json!([]);
        let faults = problem.get("errors").unwrap_or(&no_faults);
        let mut found: Vec<_> = list(faults, "")
            .iter()
            .map(|fault| text(fault, "/pointer"))
            .collect();
        let mut wanted = pointers.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{answer}");
        for fault in list(faults, "") {
            assert!(
                !text(fault, "/code").is_empty() && !text(fault, "/detail").is_empty(),
                "{answer}"
            );
        }
        assert_eq!(
            head(&self.client, &self.user).await,
            self.head,
            "something was written: {answer}"
        );
        answer
    }

    async fn refuses_delivery(&self, body: Value, pointers: &[&str]) {
        self.refuses(
            self.client.post("/v1/deliveries").json(&body),
            422,
            pointers,
        )
        .await;
    }

    async fn refuses_user(&self, body: Value, pointers: &[&str]) {
        self.refuses(self.client.post("/v1/users").json(&body), 422, pointers)
            .await;
    }

    async fn leave(self) {
        self.server.stop().await;
    }
}

/// The position that the log has reached.
async fn head(client: &Client, user: &str) -> u64 {
    let answer = client
        .get(&format!("/v1/users/{user}"))
        .send()
        .await
        .expect(200);
    answer
        .required_header("stream-position")
        .parse()
        .expect("a position is a number")
}
