use super::*;

/// Reads a file of this text (none when it is empty) under these environment variables.
fn read(file: &str, environment: &[(&str, &str)]) -> anyhow::Result<Layers> {
    let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    if file.is_empty() {
        return Layers::read(None, environment);
    }
    let path = std::env::temp_dir().join(format!("purser-{}.toml", uuid::Uuid::now_v7()));
    std::fs::write(&path, file).unwrap();
    let layers = Layers::read(Some(&path), environment);
    std::fs::remove_file(&path).unwrap();
    layers
}

fn settings(file: &str, environment: &[(&str, &str)]) -> Settings {
    read(file, environment).unwrap().settings().unwrap()
}

/// What is wrong with the settings, causes included, must hold every one of `words`.
fn check_refused(file: &str, environment: &[(&str, &str)], words: &[&str]) -> String {
    let error = read(file, environment).and_then(|layers| layers.settings()).unwrap_err();
    let message = format!("{error:#}");
    for word in words {
        assert!(message.contains(word), "{message:?} lacks {word:?}");
    }
    assert_eq!(message.lines().count(), 1, "{message:?}");
    message
}

#[test]
fn the_defaults_are_complete_and_valid() {
    let defaults = settings("", &[]);
    assert_eq!(defaults.http.listen, "127.0.0.1:8080".parse().unwrap());
    defaults.check().unwrap();
}

#[test]
fn a_later_layer_wins_over_an_earlier_one() {
    let file = "[http]\nworkers = 3\nlisten = \"127.0.0.1:1\"\n[broker]\nprefetch = 7\n";
    let environment = [("PURSER_HTTP__LISTEN", "127.0.0.1:2"), ("PURSER_HTTP__WORKERS", "4")];
    let mut layers = read(file, &environment).unwrap();
    layers.set_flag("--http", "http.listen", "127.0.0.1:3");
    let merged = layers.settings().unwrap();
    assert_eq!(merged.http.listen.port(), 3);
    assert_eq!(merged.http.workers, 4);
    assert_eq!(merged.broker.prefetch, 7);
    assert_eq!(merged.engine.lanes, settings("", &[]).engine.lanes);
    assert_eq!(*layers.origin("http.listen"), Origin::Flag("--http"));
    assert_eq!(*layers.origin("http.workers"), Origin::Environment("PURSER_HTTP__WORKERS".to_owned()));
    assert!(matches!(layers.origin("broker.prefetch"), Origin::File(_)));
    assert_eq!(*layers.origin("engine.lanes"), Origin::BuiltIn);
}

#[test]
fn the_environment_reaches_every_depth_and_kind() {
    let merged = settings(
        "",
        &[
            ("PURSER_DIALECTS__TRANSACTIONAL_SYSTEM__ENABLED", "false"),
            // Digits in a text stay text.
            ("PURSER_DIALECTS__TRANSACTIONAL_SYSTEM__EXCHANGE", "007"),
            ("PURSER_TELEMETRY__LOG_FORMAT", "json"),
        ],
    );
    assert!(!merged.dialects.transactional_system.enabled);
    assert_eq!(merged.dialects.transactional_system.exchange, "007");
    assert_eq!(merged.telemetry.log_format, super::super::LogFormat::Json);
}

#[test]
fn the_addresses_have_names_of_their_own_and_empty_means_not_set() {
    let default = settings("", &[]).database.url;
    assert_eq!(settings("", &[("DATABASE_URL", "")]).database.url, default);
    let own = settings("", &[("DATABASE_URL", "postgres://a/b"), ("AMQP_URL", "amqps://c/%2f")]);
    assert_eq!(own.database.url.expose(), "postgres://a/b");
    assert_eq!(own.broker.url.expose(), "amqps://c/%2f");
    let both = settings("", &[("DATABASE_URL", "postgres://a/b"), ("PURSER_DATABASE__URL", "postgres://c/d")]);
    assert_eq!(both.database.url.expose(), "postgres://c/d");
}

#[test]
fn the_variables_of_system_002_are_understood() {
    let default = settings("", &[]);
    let url = ("DB_DATABASE", "postgresql://postgres:1234@localhost/testdb");
    assert_eq!(settings("", &[url]).database.url.expose(), url.1);
    assert_eq!(*read("", &[url]).unwrap().origin("database.url"), Origin::Environment("DB_DATABASE".to_owned()));
    // A name is system 001's, and any variable that is ours goes before it.
    assert_eq!(settings("", &[("DB_DATABASE", "balance")]).database.url, default.database.url);
    assert_eq!(settings("", &[("DB_DATABASE", "")]).database.url, default.database.url);
    for ours in ["DATABASE_URL", "PURSER_DATABASE__URL"] {
        assert_eq!(settings("", &[url, (ours, "postgres://a/b")]).database.url.expose(), "postgres://a/b", "{ours}");
    }

    let (_, rest) = default.telemetry.log.split_once(',').expect("the built-in filter leaves something out");
    for (word, level) in
        [("panic", "error"), ("fatal", "error"), ("warning", "warn"), ("INFO", "info"), ("trace", "trace")]
    {
        assert_eq!(settings("", &[("LOGLEVEL", word)]).telemetry.log, format!("{level},{rest}"));
    }
    let both = [("LOGLEVEL", "debug"), ("PURSER_TELEMETRY__LOG", "warn")];
    assert_eq!(settings("", &both).telemetry.log, "warn");
    assert_eq!(settings("", &[("LOGLEVEL", "")]).telemetry.log, default.telemetry.log);
    let words = ["loglevel is incorrect, valid values are: panic, fatal, error, warning, debug, trace.", "LOGLEVEL"];
    check_refused("", &[("LOGLEVEL", "loud")], &words);
}

#[test]
fn what_is_no_setting_is_refused_with_its_place() {
    check_refused("[http]\nlisen = \"x\"\n", &[], &["http.lisen", ".toml", "did you mean http.listen?"]);
    check_refused("[https]\nsomething_else = 1\n", &[], &["https.something_else", ".toml", "purser config --defaults"]);
    check_refused("http = 5\n", &[], &["http", "must be a section"]);
    check_refused("", &[("PURSER_X__Y", "1")], &["PURSER_X__Y", "names no setting"]);
    check_refused("", &[("PURSER_HTTP__LISTN", "1")], &["PURSER_HTTP__LISTN", "did you mean PURSER_HTTP__LISTEN?"]);
    check_refused("", &[("PURSER_HTTP_LISTEN", "1")], &["PURSER_HTTP_LISTEN", "did you mean PURSER_HTTP__LISTEN?"]);
    // Variables of the scripts are none of the settings' business.
    read("", &[("PURSER_INSTANCE", "x"), ("PATH", "/bin")]).unwrap();
}

#[test]
fn a_wrong_value_is_refused_with_its_setting_and_place() {
    check_refused("[broker]\nprefetch = 70000\n", &[], &["broker.prefetch", "whole number", ".toml"]);
    check_refused("[broker]\nprefetch = -1\n", &[], &["broker.prefetch", "whole number"]);
    check_refused("[broker]\nprefetch = 1.5\n", &[], &["broker.prefetch", "whole number"]);
    check_refused("", &[("PURSER_BROKER__PREFETCH", "many")], &["broker.prefetch", "PURSER_BROKER__PREFETCH"]);
    check_refused(
        "",
        &[("PURSER_BROKER__PREFETCH", "0")],
        &["broker.prefetch", "at least 1", "PURSER_BROKER__PREFETCH"],
    );
    check_refused("", &[("PURSER_BROKER__ENABLED", "ja")], &["broker.enabled", "true or false"]);
    check_refused("", &[("PURSER_HTTP__LISTEN", "8080")], &["http.listen", "127.0.0.1:8080"]);
    check_refused("", &[("PURSER_TELEMETRY__LOG_FORMAT", "xml")], &["telemetry.log_format", "\"human\""]);
    check_refused("", &[("PURSER_BROKER__SHARDS", "2")], &["broker.shards", "must be 1"]);
    check_refused("", &[("PURSER_BROKER__DEAD_LETTER", "")], &["broker.dead_letter", "1 to 240 bytes"]);
    check_refused("[http\n", &[], &["is not TOML", "line 1"]);
}

#[test]
fn a_secret_is_never_part_of_a_message() {
    let secret = "hunter2";
    for (file, environment) in [
        ("", [("DATABASE_URL", "postgres://purser:hunter2@[::1/purser")]),
        ("", [("DATABASE_URL", "purser:hunter2@localhost/purser")]),
        ("", [("AMQP_URL", "http://purser:hunter2@localhost/")]),
        ("", [("AMQP_URL", "hunter2")]),
        ("", [("LOGLEVEL", "hunter2")]),
        ("", [("DB_DATABASE", "postgres://purser:hunter2@[::1/purser")]),
        ("", [("PURSER_HTTP__LISTEN", "postgres://purser:hunter2@localhost/purser")]),
        ("", [("PURSER_BROKER__PREFETCH", "postgres://purser:hunter2@localhost/purser")]),
        ("[database]\nurl = \"postgres://purser:hunter2@localhost/purser\n", [("X", "")]),
        ("[database]\nurl = postgres://purser:hunter2@localhost/purser\n", [("X", "")]),
        ("[database]\nurl = \"postgres://a\" hunter2\n", [("X", "")]),
    ] {
        let message = check_refused(file, &environment, &[]);
        assert!(!message.contains(secret), "{message}");
    }
    let merged = settings("", &[("DATABASE_URL", "postgres://purser:hunter2@localhost/purser")]);
    assert!(!format!("{merged:?}").contains(secret));
    assert!(!serde_json::to_string(&merged).unwrap().contains(secret));
}

#[test]
fn a_door_that_others_can_reach_is_not_left_open_by_accident() {
    let public = "0.0.0.0:8080";
    check_refused(
        "",
        &[("PURSER_HTTP__LISTEN", public), ("PURSER_HTTP__AUTH", "off")],
        &["http.auth", "0.0.0.0:8080", "purser keys create", "http.public_without_auth", "PURSER_HTTP__AUTH"],
    );
    check_refused("", &[("PURSER_HTTP__AUTH", "no")], &["http.auth", "\"auto\", \"on\" or \"off\""]);
    let check = |listen: &str, auth: &str, open: &str, is_on: bool| {
        let environment =
            [("PURSER_HTTP__LISTEN", listen), ("PURSER_HTTP__AUTH", auth), ("PURSER_HTTP__PUBLIC_WITHOUT_AUTH", open)];
        assert_eq!(settings("", &environment).http.is_auth_on(), is_on, "{environment:?}");
    };
    for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        check(loopback, "auto", "false", false);
        check(loopback, "on", "false", true);
        check(loopback, "off", "false", false);
    }
    for public in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:0.0.0.0]:1"] {
        check(public, "auto", "false", true);
        check(public, "auto", "true", true);
        check(public, "on", "false", true);
        check(public, "off", "true", false);
    }
}

#[test]
fn an_identity_provider_is_asked_over_tls_and_names_whom_its_tokens_are_for() {
    let issuer = |address| ("PURSER_HTTP__JWT__ISSUER", address);
    let audience = ("PURSER_HTTP__JWT__AUDIENCE", "purser");
    for address in ["https://id.example/realms/payments", "http://127.0.0.1:9/x", "http://[::1]/"] {
        assert!(settings("", &[issuer(address), audience]).http.jwt.is_on(), "{address}");
    }
    for address in [
        "http://id.example/",
        "http://10.0.0.1/",
        "http://localhost.example/",
        "file:///etc/passwd",
        "id.example",
        "https://user:hunter2@id.example/",
    ] {
        let message = check_refused("", &[issuer(address), audience], &["http.jwt.issuer", "https://"]);
        assert!(!message.contains("hunter2"), "{message}");
        check_refused("", &[("PURSER_HTTP__JWT__JWKS_URL", address)], &["http.jwt.jwks_url", "https://"]);
    }
    check_refused("", &[issuer("https://id.example")], &["http.jwt.audience", "must be set"]);
    check_refused("", &[("PURSER_HTTP__TLS__KEY_FILE", "key.pem")], &["http.tls.key_file", "set together"]);
}
