//! `docs/asyncapi.yaml` is what Purser does: its examples are sent, and the replies are those that it shows, in the shape that it describes.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::{Draft, Validator};
use lapin::BasicProperties;
use purser::ledger::Kind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::operations::{Desk, opened};
use crate::support::Message;

const REPLIES: [&str; 4] = ["done", "holdings", "outcomes", "refusal"];
const DEAD_LETTER: &str = "deadLetter";

/// The document.
struct Document(Value);

/// An example of a message.
struct Example<'a> {
    /// What the message is called. That of a request is the routing key.
    message: &'a str,
    name: &'a str,
    headers: &'a Value,
    payload: &'a Value,
}

impl Document {
    fn read() -> Self {
        let text = include_str!("../../../docs/asyncapi.yaml");
        Self(serde_saphyr::from_str(text).expect("the document is YAML"))
    }

    fn examples(&self) -> impl Iterator<Item = Example<'_>> {
        let messages = self.0["components"]["messages"].as_object().expect("there are messages");
        messages.iter().flat_map(|(message, described)| {
            described["examples"].as_array().expect("every message has examples").iter().map(|example| Example {
                message,
                name: example["name"].as_str().expect("every example has a name"),
                headers: &example["headers"],
                payload: &example["payload"],
            })
        })
    }

    fn requests(&self) -> BTreeMap<&str, Example<'_>> {
        let requests =
            self.examples().filter(|example| !REPLIES.contains(&example.message) && example.message != DEAD_LETTER);
        requests.map(|example| (example.name, example)).collect()
    }

    fn replies(&self) -> BTreeMap<&str, Example<'_>> {
        self.examples()
            .filter(|example| REPLIES.contains(&example.message))
            .map(|example| (example.name, example))
            .collect()
    }

    fn story(&self) -> Vec<&str> {
        let story = self.0["x-story"].as_array().expect("there is a story");
        story.iter().map(|name| name.as_str().expect("it is a list of names")).collect()
    }

    /// Complaints about a value that is to be as a part of the document describes. The part is a path such as `messages/done/payload`.
    fn complaints(&self, part: &str, value: &Value) -> Vec<String> {
        let schema = json!({"allOf": [{"$ref": format!("#/components/{part}")}], "components": self.0["components"]});
        let validator: Validator = jsonschema::options()
            // AsyncAPI builds on draft 7. Nothing here means anything else in this one, which also checks that ids are UUIDs.
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)
            .expect("the document's schemas are well formed");
        validator.iter_errors(value).map(|error| format!("{part}: {error} at {}", error.instance_path())).collect()
    }

    #[track_caller]
    fn assert_described(&self, part: &str, value: &Value) {
        let complaints = self.complaints(part, value);
        assert!(complaints.is_empty(), "{complaints:#?} in {value}");
    }

    /// The envelope, and the JSON in its body.
    #[track_caller]
    fn assert_reply_described(&self, message: &str, reply: &Value) {
        self.assert_described(&format!("messages/{message}/payload"), reply);
        let schema =
            self.0["components"]["messages"][message]["payload"]["$ref"].as_str().expect("a reply has a schema");
        let content = self.0.pointer(&schema[1..]).expect("it is there")["properties"]["body"]["x-content"].as_str();
        if let Some(content) = content {
            self.assert_described(&format!("schemas/{content}"), &opened(reply.clone())["body"]);
        }
    }
}

/// Which id of this run stands for which id of the document.
#[derive(Default)]
struct Ids(BTreeMap<String, String>);

impl Ids {
    /// Demands that a value is the documented one, but for ids, which must be new where the document's are, and times.
    #[track_caller]
    fn compare(&mut self, documented: &Value, value: &Value, place: &str) {
        match (documented, value) {
            (Value::Object(documented), Value::Object(value)) => {
                assert!(documented.keys().eq(value.keys()), "{place}: {documented:?} is documented, {value:?} came");
                for (name, documented) in documented {
                    self.compare(documented, &value[name], &format!("{place}.{name}"));
                }
            }
            (Value::Array(documented), Value::Array(value)) => {
                assert_eq!(documented.len(), value.len(), "{place}");
                for (documented, value) in documented.iter().zip(value) {
                    self.compare(documented, value, place);
                }
            }
            (Value::String(documented), Value::String(value)) if Uuid::try_parse(documented).is_ok() => {
                let is_known = self.0.values().any(|known| known == value);
                let known = self.0.entry(documented.clone()).or_insert_with(|| {
                    assert!(!is_known, "{place}: {value} is documented as two transactions");
                    value.clone()
                });
                assert_eq!(known, value, "{place}");
            }
            // That it is a time says its schema.
            _ if place.ends_with(".expires_at") => {}
            _ => assert_eq!(documented, value, "{place}"),
        }
    }

    /// The documented fields with the ids of this run.
    fn fill(&self, documented: &Value) -> Value {
        let mut text = documented.to_string();
        for (documented, id) in &self.0 {
            text = text.replace(documented.as_str(), id);
        }
        serde_json::from_str(&text).expect("an id for an id keeps it JSON")
    }
}

#[tokio::test]
async fn every_example_of_the_document_gets_the_reply_that_it_shows() {
    let document = Document::read();
    let (requests, replies) = (document.requests(), document.replies());
    let desk = Desk::open().await;
    let mut ids = Ids::default();
    for name in document.story() {
        let request = &requests[name];
        document.assert_described(&format!("messages/{}/payload", request.message), request.payload);
        let body = ids.fill(request.payload).to_string();
        let message = Message::new(&desk.app.names.operations, request.message, body)
            .with(|properties| with_properties(properties, request.headers));
        let reply = desk.client.call(message).await.json();
        let expected = &replies[name];
        assert_eq!(opened(expected.payload.clone())["code"], reply["code"], "{name}: {reply}");
        document.assert_reply_described(expected.message, expected.payload);
        document.assert_reply_described(expected.message, &reply);
        ids.compare(&opened(expected.payload.clone()), &opened(reply), name);
    }
    for letter in document.examples().filter(|example| example.message == DEAD_LETTER) {
        let word = letter.headers["x-purser-routing-key"].as_str().expect("it was published with one");
        desk.client.publish(Message::new(&desk.app.names.operations, word, letter.payload.to_string())).await;
        let taken = desk.client.take(&desk.app.names.dead).await;
        let headers = letter.headers.as_object().expect("they are a table");
        let got: Value = headers.keys().map(|name| (name.clone(), Value::from(taken.header(name)))).collect();
        document.assert_described("messages/deadLetter/headers", &got);
        let mut expected = letter.headers.clone();
        // The names are settings.
        expected["x-purser-exchange"] = desk.app.names.operations.as_str().into();
        assert_eq!(got, expected, "{}", letter.name);
        assert_eq!(taken.json(), *letter.payload);
    }
}

/// `correlation_id` and `message_id`; the client names its own reply queue.
fn with_properties(mut properties: BasicProperties, headers: &Value) -> BasicProperties {
    if let Some(id) = headers["correlation_id"].as_str() {
        properties = properties.with_correlation_id(id.into());
    }
    if let Some(key) = headers["message_id"].as_str() {
        properties = properties.with_message_id(key.into());
    }
    properties
}

#[test]
fn the_document_names_every_operation_every_code_and_each_example_once() {
    let document = Document::read();
    let operations: BTreeSet<&str> =
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Stand).map(Kind::as_str).collect();
    let channels: BTreeSet<&str> = document.0["channels"]
        .as_object()
        .expect("there are channels")
        .keys()
        .map(String::as_str)
        .filter(|name| !["replies", "deadLetters"].contains(name))
        .collect();
    assert_eq!(channels, operations);
    let story = document.story();
    let told: BTreeSet<&str> = story.iter().copied().collect();
    assert_eq!(told.len(), story.len(), "an example is told twice");
    assert!(document.requests().keys().eq(&told) && document.replies().keys().eq(&told), "{story:?}");
    for operation in operations {
        assert!(document.requests().values().any(|example| example.message == operation), "{operation} has no example");
    }

    // What has its line in the protocol, which another test compares with the code.
    let protocol = include_str!("../../../docs/protocol-amqp.md");
    let section = protocol.split("## Refusal codes").nth(1).and_then(|text| text.split("\n## ").next());
    let lines = section.expect("the protocol has the section").lines();
    let codes: BTreeSet<&str> = lines.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let documented = document.0["components"]["schemas"]["rejection"]["enum"].as_array().expect("it is a list");
    let documented: BTreeSet<&str> = documented.iter().filter_map(Value::as_str).collect();
    assert_eq!(documented, codes);
}

#[test]
fn a_reply_that_the_document_does_not_describe_is_noticed() {
    let document = Document::read();
    let part = "messages/done/payload";
    let good = json!({"operation": "invoice", "code": 200, "body": "{}"});
    assert_eq!(document.complaints(part, &good), Vec::<String>::new());
    for (name, value) in
        [("more", json!(1)), ("code", json!(201)), ("operation", json!("deposit")), ("body", json!({}))]
    {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(!document.complaints(part, &bad).is_empty(), "{bad}");
    }
    assert!(!document.complaints("schemas/doneBody", &json!({"id": "no uuid", "status": "Success"})).is_empty());
    let compared = |value: Value| {
        let documented = json!({"a": ["0192f0c1-0000-7000-8000-000000000001", "0192f0c1-0000-7000-8000-000000000001"]});
        std::panic::catch_unwind(|| Ids::default().compare(&documented, &value, "sample")).is_ok()
    };
    let (one, other) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
    assert!(compared(json!({"a": [one, one]})));
    assert!(!compared(json!({"a": [one, other]})) && !compared(json!({"b": []})) && !compared(json!({"a": [one]})));
}
