//! The document of the interface and what shows it.

use super::start_with;
use crate::support::server::purser;

#[tokio::test]
async fn the_document_is_served_printed_and_shown_with_nothing_from_elsewhere() {
    let app = start_with(|_| {}).await;
    let served = app.get("/openapi.json").await;
    assert_eq!((served.status, served.content_type.as_str()), (200, "application/json"));
    assert_eq!(served.json()["openapi"], "3.1.0");
    let printed = purser(&["openapi"]).output().expect("the binary runs");
    let printed: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("it prints JSON");
    assert_eq!(printed, served.json());

    let page = app.get("/docs").await;
    assert_eq!((page.status, page.content_type.as_str()), (200, "text/html"));
    for named in
        page.body.split(['"']).filter(|word| word.contains(".js") || word.contains(".css") || word.contains("//"))
    {
        assert!(named.starts_with("./") || !named.contains('/'), "{named} is from elsewhere");
        let file = app.get(&format!("/docs/{}", named.trim_start_matches("./"))).await;
        assert_eq!(file.status, 200, "{named}");
    }
    assert!(page.body.contains("swagger-initializer.js"));
    let start = app.get("/docs/swagger-initializer.js").await.body;
    assert!(start.contains("\"/openapi.json\"") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert_eq!(app.send("POST", "/docs/", &serde_json::Value::Null).await.status, 405);
}
