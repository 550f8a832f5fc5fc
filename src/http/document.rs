//! An OpenAPI 3.1 document made from tables: for an interface that reads its requests by hand, so that no type describes them.
//!
//! `/v1` has its own, made from its types.

use serde::{Serialize, Serializer};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// An interface.
#[derive(Debug)]
pub struct Document {
    /// What it is called.
    pub title: &'static str,
    /// Its version, in its own counting.
    pub version: &'static str,
    /// What a reader must know of all of it.
    pub description: &'static str,
    /// What it serves. Rows of one path stand together.
    pub rows: &'static [Row],
    /// The status of what is refused, and what every such answer has.
    pub refused: (&'static str, &'static [Field]),
    /// The objects that rows and fields name.
    pub schemas: &'static [(&'static str, &'static [Field])],
}

/// One method of one path.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    takes: Takes,
    gives: Gives,
    otherwise: Option<(&'static str, &'static str)>,
}

/// What a request says.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// A JSON body: one of the document's schemas.
    Body(&'static str),
    /// Parameters in the query.
    Query(&'static [Field]),
    /// Parameters in the path.
    Path(&'static [Field]),
}

/// What is answered with status 200.
#[derive(Clone, Copy, Debug)]
pub struct Gives {
    /// For people.
    pub description: &'static str,
    /// The body's media type.
    pub media_type: &'static str,
    /// The body.
    pub schema: Schema,
}

/// A field of an object, or a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    name: &'static str,
    schema: Schema,
    is_required: bool,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// In JSON Schema's own words: `{"type": "string"}`.
    Words(&'static str),
    /// One of the document's schemas.
    Named(&'static str),
    /// A list of what one of them describes: of so many at least.
    ListOf(&'static str, u64),
    /// An object of its own.
    Fields(&'static [Field]),
}

/// A text.
pub const TEXT: Schema = words(r#"{"type": "string"}"#);
/// A moment: RFC 3339.
pub const MOMENT: Schema = words(r#"{"type": "string", "format": "date-time"}"#);
/// Where something is.
pub const URI: Schema = words(r#"{"type": "string", "format": "uri"}"#);
/// Which thing it is.
pub const UUID: Schema = words(r#"{"type": "string", "format": "uuid"}"#);
/// A number without decimals.
pub const INTEGER: Schema = words(r#"{"type": "integer"}"#);
/// Whether something is so.
pub const BOOLEAN: Schema = words(r#"{"type": "boolean"}"#);

/// What is served with `method`, upper case, at `path`.
pub const fn row(method: &'static str, path: &'static str, summary: &'static str, takes: Takes, gives: Gives) -> Row {
    Row { method, path, summary, takes, gives, otherwise: None }
}

/// An answer in JSON: one of the document's schemas.
pub const fn gives(description: &'static str, name: &'static str) -> Gives {
    Gives { description, media_type: JSON, schema: Schema::Named(name) }
}

/// A field that is always there.
pub const fn must(name: &'static str, schema: Schema) -> Field {
    Field { name, schema, is_required: true }
}

/// A field that may be left out.
pub const fn may(name: &'static str, schema: Schema) -> Field {
    Field { name, schema, is_required: false }
}

/// See [`Schema::Words`].
pub const fn words(words: &'static str) -> Schema {
    Schema::Words(words)
}

const JSON: &str = "application/json";

impl Row {
    /// The same with one more status that it can have, and what that means.
    pub const fn or(self, status: &'static str, description: &'static str) -> Self {
        Self { otherwise: Some((status, description)), ..self }
    }
}

impl Document {
    /// Its text: JSON.
    ///
    /// # Panics
    /// When words of a schema are no JSON.
    pub fn render(&self) -> String {
        let paths = self.rows.chunk_by(|row, next| row.path == next.path).map(|rows| {
            let operations = rows.iter().map(|row| (row.method.to_ascii_lowercase(), self.operation(row)));
            (rows[0].path, object(operations))
        });
        let body = content(JSON, Schema::Fields(self.refused.1));
        let refused = object([("description", json(&"Why not")), ("content", body)]);
        let schemas = self.schemas.iter().map(|(name, fields)| (*name, schema(Schema::Fields(fields))));
        let bearer = json!({
            "type": "http",
            "scheme": "bearer",
            "description": "A key of Purser. Where authentication is off it is not looked at.",
        });
        let components = object([
            ("responses", object([("Refused", refused)])),
            ("schemas", object(schemas)),
            ("securitySchemes", json(&json!({ "bearer": bearer }))),
        ]);
        let info = json!({ "title": self.title, "version": self.version, "description": self.description });
        object([
            ("openapi", json(&"3.1.0")),
            ("info", json(&info)),
            ("paths", object(paths)),
            ("components", components),
            ("security", json(&json!([{ "bearer": [] }]))),
        ])
        .to_string()
    }

    fn operation(&self, row: &Row) -> Json {
        let takes = match row.takes {
            Takes::Body(name) => {
                let content = content(JSON, Schema::Named(name));
                ("requestBody", object([("required", json(&true)), ("content", content)]))
            }
            Takes::Query(fields) => ("parameters", parameters("query", fields)),
            Takes::Path(fields) => ("parameters", parameters("path", fields)),
        };
        let Gives { description, media_type, schema } = row.gives;
        let given = object([("description", json(&description)), ("content", content(media_type, schema))]);
        let refused = json(&json!({ "$ref": "#/components/responses/Refused" }));
        let otherwise =
            row.otherwise.map(|(status, description)| (status, json(&json!({ "description": description }))));
        let responses = [("200", given), (self.refused.0, refused)].into_iter().chain(otherwise);
        object([("summary", json(&row.summary)), takes, ("responses", object(responses))])
    }
}

type Json = Box<RawValue>;

fn parameters(place: &str, fields: &[Field]) -> Json {
    let parameter = |field: &Field| {
        let required = field.is_required.then(|| ("required", json(&true)));
        let name = [("name", json(&field.name)), ("in", json(&place))];
        object(name.into_iter().chain(required).chain([("schema", schema(field.schema))]))
    };
    json(&fields.iter().map(parameter).collect::<Vec<_>>())
}

fn content(media_type: &'static str, of: Schema) -> Json {
    object([(media_type, object([("schema", schema(of))]))])
}

fn schema(schema: Schema) -> Json {
    match schema {
        Schema::Words(words) => RawValue::from_string(words.to_owned()).expect("the words of a schema are JSON"),
        Schema::Named(name) => json(&json!({ "$ref": format!("#/components/schemas/{name}") })),
        Schema::ListOf(name, items_min) => {
            let least = (items_min > 0).then(|| ("minItems", json(&items_min)));
            let items = [("items", self::schema(Schema::Named(name)))];
            object([("type", json(&"array"))].into_iter().chain(least).chain(items))
        }
        Schema::Fields(fields) => {
            let properties = fields.iter().map(|field| (field.name, self::schema(field.schema)));
            let required = fields.iter().filter(|field| field.is_required).map(|field| field.name);
            object([
                ("type", json(&"object")),
                ("properties", object(properties)),
                ("required", json(&required.collect::<Vec<_>>())),
            ])
        }
    }
}

fn json(value: &impl Serialize) -> Json {
    to_raw_value(value).expect("texts, and lists and maps of texts, are JSON")
}

/// Its names stay in this order: a reader is shown them in it.
fn object<N: Serialize>(entries: impl IntoIterator<Item = (N, Json)>) -> Json {
    json(&Entries(entries.into_iter().collect()))
}

struct Entries<N>(Vec<(N, Json)>);

impl<N: Serialize> Serialize for Entries<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const NUMBER: Schema = words(r#"{"type": "integer", "minimum": 0}"#);
    const NAMED: &[Field] =
        &[must("zone", NUMBER), may("area", NUMBER), must("owner", Schema::Fields(&[may("id", NUMBER)]))];
    const DOCUMENT: Document = Document {
        title: "Zones",
        version: "2",
        description: "Of \"land\"",
        rows: &[
            row("GET", "/zones/{id}", "A zone", Takes::Path(&[must("id", NUMBER)]), gives("It", "Zone"))
                .or("404", "None"),
            row("DELETE", "/zones/{id}", "No zone", Takes::Query(&[may("soon", NUMBER)]), gives("What it was", "Zone")),
            row("POST", "/areas", "An area", Takes::Body("Zone"), gives("They", "Zones")),
        ],
        refused: ("400", &[must("message", TEXT)]),
        schemas: &[("Zone", NAMED), ("Zones", &[must("zones", Schema::ListOf("Zone", 1))])],
    };

    #[test]
    fn a_document_says_what_its_tables_say_and_in_their_order() {
        let text = DOCUMENT.render();
        let document: Value = serde_json::from_str(&text).unwrap();
        let check = |pointer: &str, expected: Value| {
            assert_eq!(document.pointer(pointer), Some(&expected), "{pointer}");
        };
        let zone = json!({ "$ref": "#/components/schemas/Zone" });
        let number = json!({ "type": "integer", "minimum": 0 });
        let json = |schema: &Value| json!({ "application/json": { "schema": schema } });
        check("/info", json!({ "title": "Zones", "version": "2", "description": "Of \"land\"" }));
        check(
            "/paths/~1zones~1{id}/get",
            json!({
                "summary": "A zone",
                "parameters": [{ "name": "id", "in": "path", "required": true, "schema": number }],
                "responses": {
                    "200": { "description": "It", "content": json(&zone) },
                    "400": { "$ref": "#/components/responses/Refused" },
                    "404": { "description": "None" },
                },
            }),
        );
        check("/paths/~1zones~1{id}/delete/parameters", json!([{ "name": "soon", "in": "query", "schema": number }]));
        check("/paths/~1areas/post/requestBody", json!({ "required": true, "content": json(&zone) }));
        let text_of = json!({ "message": { "type": "string" } });
        let message = json!({ "type": "object", "properties": text_of, "required": ["message"] });
        check("/components/responses/Refused", json!({ "description": "Why not", "content": json(&message) }));
        let zones = json!({ "type": "array", "minItems": 1, "items": zone });
        check("/components/schemas/Zones/properties", json!({ "zones": zones }));
        let owner = json!({ "type": "object", "properties": { "id": number }, "required": [] });
        check(
            "/components/schemas/Zone",
            json!({
                "type": "object",
                "properties": { "zone": number, "area": number, "owner": owner },
                "required": ["zone", "owner"],
            }),
        );
        check("/security", json!([{ "bearer": [] }]));
        let names = ["\"openapi\"", "\"/zones/{id}\"", "\"get\"", "\"delete\"", "\"/areas\"", "\"zone\"", "\"area\""];
        assert!(names.map(|name| text.find(name).unwrap()).is_sorted(), "{text}");
    }
}
