//! Black-box tests of the command line: help, exit codes, error messages, starting and stopping.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use crate::harness::{Ended, Folder, PostgresDatabase, Server, Setup, run, smallrun};
use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

/// Asserts that the command failed with this exit code, and that the last line is an error message with this
/// text.
fn assert_sentence(ended: &Ended, code: i32, what: &str) {
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(
        ended.code == Some(code) && last.starts_with("error: ") && last.contains(what) && last.ends_with('.'),
        "{ended:#?}"
    );
}

#[test]
fn help_names_every_command_and_every_exit_code() {
    let help = run(["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for word in [
        "serve",
        "work",
        "migrate",
        "demo",
        "admin",
        "audit",
        "schema",
        "config",
        "Exit codes",
        "65",
        "69",
        "73",
        "78",
    ] {
        assert!(help.stdout.contains(word), "{word}: {}", help.stdout);
    }
    for command in ["serve", "work", "migrate", "demo", "admin", "audit", "config"] {
        let help = run([command, "--help"]);
        assert!(help.code == Some(0) && help.stdout.contains("Exit codes"), "{help:#?}");
    }
    assert!(run(["serve", "--help"]).stdout.contains("--listen <ADDR>"));
}

#[test]
fn a_wrong_call_ends_with_2_and_shows_the_usage() {
    for wrong in
        [&["--nope"][..], &["nope"], &["serve", "--nope"], &["migrate"], &["demo", "--buyers", "none"], &[]]
    {
        let ended = run(wrong);
        assert!(
            ended.code == Some(2) && ended.stderr.contains("--help") && ended.stdout.is_empty(),
            "{ended:#?}"
        );
    }
    assert_sentence(&run(["serve", "--listen", "nowhere"]), 2, "--listen must be an address and a port");
}

#[test]
fn the_effective_configuration_is_toml_with_sources_and_without_secrets() {
    let folder = Folder::new();
    let file = folder.join("smallrun.toml");
    fs::write(&file, "shutdown_secs = 7\n").unwrap();
    let mut command = smallrun();
    command.args(["config", "--data", "/srv/smallrun", "--config"]).arg(&file);
    command.env("SMALLRUN_DATABASE_URL", "postgres://shop:hunter-two@db/shop");
    command.env("SMALLRUN_SANDBOX_WEBHOOK_SECRET", "hunter-two-hunter-two");
    let ended = Ended::of(&mut command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let table: toml::Table = ended.stdout.parse().unwrap();
    assert_eq!(table["shutdown_secs"].as_integer(), Some(7));
    assert_eq!(table["database_url"].as_str(), Some("postgres://shop:***@db/shop"));
    assert_eq!(table["mail_url"].as_str(), Some("file:///srv/smallrun/mail"));
    for line in [
        "shutdown_secs = 7  # configuration file",
        "data = \"/srv/smallrun\"  # --data",
        "listen = \"127.0.0.1:8080\"  # default",
        "sandbox_webhook_secret = \"***\"  # SMALLRUN_SANDBOX_WEBHOOK_SECRET",
    ] {
        assert!(ended.stdout.lines().any(|printed| printed == line), "{line}\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("hunter"), "{}", ended.stdout);
}

#[test]
fn a_bad_setting_ends_with_78_and_names_it() {
    let folder = Folder::new();
    let file = folder.join("smallrun.toml");
    for (text, what) in [
        ("lisen = \"127.0.0.1:1\"", "line 1: unknown setting `lisen`. Did you mean `listen`?"),
        ("\nshutdown_secs = \"soon\"", "line 2: `shutdown_secs` must be a whole number from 1 to 600"),
        ("listen = [", "line 1"),
    ] {
        fs::write(&file, text).unwrap();
        let ended = Ended::of(smallrun().args(["config", "--config"]).arg(&file));
        assert_sentence(&ended, 78, what);
    }
    assert_sentence(
        &run(["config", "--config", "/nowhere/smallrun.toml"]),
        78,
        "the configuration file `/nowhere/smallrun.toml` cannot be read",
    );
    for (variable, value, what) in [
        (
            "SMALLRUN_PUBLIK_URL",
            "x",
            "unknown variable SMALLRUN_PUBLIK_URL. Did you mean SMALLRUN_PUBLIC_URL?",
        ),
        (
            "SMALLRUN_BUS_URL",
            "kafka://localhost",
            "SMALLRUN_BUS_URL must be embedded://, amqp:// or amqps://",
        ),
        ("SMALLRUN_DATABASE_URL", "mysql://localhost", "SMALLRUN_DATABASE_URL cannot be used"),
    ] {
        assert_sentence(&Ended::of(smallrun().arg("serve").env(variable, value)), 78, what);
    }
}

#[test]
fn the_schema_is_printed_without_any_configuration() {
    let ended = Ended::of(smallrun().arg("schema").env("SMALLRUN_LISTEN", "nonsense"));
    assert!(ended.code == Some(0) && ended.stdout.contains("type Query"), "{ended:#?}");
}

#[test]
fn migrations_are_shown_and_applied_once() {
    let folder = Folder::new();
    let migrate = |what: &str| Ended::of(smallrun().args(["migrate", what, "--data"]).arg(folder.path()));
    let before = migrate("status");
    assert!(
        before.code == Some(0) && before.stdout.lines().all(|line| line.starts_with("pending  m0")),
        "{before:#?}"
    );
    assert!(!folder.join("smallrun.sqlite").exists(), "`migrate status` must not create a database");
    let up = migrate("up");
    assert!(up.code == Some(0) && up.stderr.contains("Applying m0001_platform … done"), "{up:#?}");
    assert_eq!(migrate("up").stdout, "The database is up to date.\n");
    let after = migrate("status");
    assert!(
        after.stdout.lines().count() == before.stdout.lines().count() && !after.stdout.contains("pending"),
        "{after:#?}"
    );
}

#[test]
fn a_folder_that_cannot_be_written_ends_with_73() {
    let folder = Folder::new();
    let file = folder.join("a-file");
    fs::write(&file, "x").unwrap();
    let ended = Ended::of(smallrun().args(["serve", "--data"]).arg(file.join("data")));
    assert_sentence(&ended, 73, "cannot be written");
    let ended = run(["serve", "--listen", "127.0.0.1:0", "--data", "/proc/smallrun"]);
    assert_sentence(&ended, 73, "`/proc/smallrun` cannot be written");
}

#[test]
fn a_damaged_database_ends_with_65_and_is_left_alone() {
    for command in ["serve", "migrate", "admin", "audit"] {
        let folder = Folder::new();
        let file = folder.join("smallrun.sqlite");
        fs::write(&file, "this is not a database at all").unwrap();
        let arguments: &[&str] = match command {
            "serve" => &["serve", "--listen", "127.0.0.1:0"],
            "migrate" => &["migrate", "up"],
            "audit" => &["audit", "verify"],
            _ => &["admin", "create", "--email", "you@example.org"],
        };
        assert_sentence(
            &Ended::of(smallrun().args(arguments).arg("--data").arg(folder.path())),
            65,
            "is damaged",
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "this is not a database at all");
    }
    // Overwrite pages after an intact header.
    let folder = Folder::new();
    assert_eq!(Ended::of(smallrun().args(["migrate", "up", "--data"]).arg(folder.path())).code, Some(0));
    let file = folder.join("smallrun.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let from = bytes.len() / 4;
    bytes[from..].fill(0xA5);
    fs::write(&file, bytes).unwrap();
    let ended = Ended::of(smallrun().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()));
    assert_sentence(&ended, 65, "is damaged");
}

#[tokio::test]
async fn a_database_that_is_newer_than_the_program_ends_with_65() {
    let folder = Folder::new();
    assert_eq!(Ended::of(smallrun().args(["migrate", "up", "--data"]).arg(folder.path())).code, Some(0));
    let url = format!("sqlite://{}", folder.join("smallrun.sqlite").display());
    let database = sea_orm::Database::connect(url).await.unwrap();
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m9999_tomorrow', 0)";
    sea_orm::ConnectionTrait::execute_unprepared(&database, newer).await.unwrap();
    database.close().await.unwrap();
    let serve =
        smallrun().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()).output().unwrap();
    let stderr = String::from_utf8(serve.stderr).unwrap();
    assert!(
        serve.status.code() == Some(65)
            && stderr.contains("newer than this program: it has the unknown migration m9999_tomorrow"),
        "{stderr}"
    );
}

#[test]
fn short_commands_refuse_a_database_that_lacks_migrations() {
    let folder = Folder::new();
    let ended = Ended::of(
        smallrun().args(["admin", "create", "--email", "you@example.org", "--data"]).arg(folder.path()),
    );
    assert_sentence(&ended, 65, "Run `smallrun migrate up`");
}

#[test]
fn a_database_server_that_does_not_answer_ends_with_69() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = Folder::new();
    let mut command = smallrun();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    command.env("SMALLRUN_DATABASE_URL", format!("postgres://shop:hunter-two@127.0.0.1:{closed}/shop"));
    let ended = Ended::of(&mut command);
    assert_sentence(&ended, 69, "does not answer");
    assert!(!ended.stderr.contains("hunter"), "{ended:#?}");
}

#[test]
fn a_port_in_use_ends_with_69() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let ended = Ended::of(smallrun().args(["serve", "--listen", &address, "--data"]).arg(folder.path()));
    assert_sentence(&ended, 69, &format!("{address} is in use"));
}

#[tokio::test]
async fn a_second_server_on_one_sqlite_file_is_refused_and_short_commands_run_next_to_the_first() {
    let server = Server::start(Setup::empty()).await;
    let folder = server.folder().path();
    let second = Ended::of(smallrun().args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder));
    assert_sentence(&second, 69, "another `smallrun serve` is already running on the database");

    let status = Ended::of(smallrun().args(["migrate", "status", "--data"]).arg(folder));
    assert_eq!(status.code, Some(0), "{status:#?}");
    let (status, _) = server.stop().await;
    assert!(status.success());
}

#[tokio::test]
async fn a_second_server_on_one_postgres_database_is_refused() {
    let server = Server::start(Setup::empty().on_postgres().await).await;
    let other = Folder::new();
    let second = Ended::of(&mut server.same_again().command(&other));
    assert_sentence(&second, 69, "another `smallrun serve` is already running on the database");
}

#[tokio::test]
async fn the_error_for_a_database_user_without_the_tenant_role_shows_the_command_to_run() {
    let database = PostgresDatabase::create().await;
    let (user, folder) = (&database.name, Folder::new());
    database.run(&format!("REVOKE smallrun_tenant FROM {user}")).await;
    let migrate = || {
        let mut command = smallrun();
        command
            .args(["migrate", "up", "--data"])
            .arg(folder.path())
            .env("SMALLRUN_DATABASE_URL", &database.url);
        Ended::of(&mut command)
    };
    let what_to_run = format!("`GRANT smallrun_tenant TO {user}`");
    assert_sentence(&migrate(), 69, &what_to_run);
    database.run(&format!("GRANT smallrun_tenant TO {user}")).await;
    let done = migrate();
    assert_eq!(done.code, Some(0), "{done:#?}");
    // A right that is lost later is noticed even when all migrations are applied.
    database.run(&format!("REVOKE smallrun_tenant FROM {user}")).await;
    assert_sentence(&migrate(), 69, &what_to_run);
}

#[tokio::test]
async fn the_first_start_shows_how_to_create_an_admin_and_the_admin_can_sign_in() {
    let server = Server::start(Setup::empty()).await;
    assert!(
        server.greeting().contains("smallrun admin create --email you@example.org"),
        "{}",
        server.greeting()
    );

    let made = admin(&server, "boss@example.org", "correct horse battery");
    assert!(made.code == Some(0) && made.stdout.contains("boss@example.org"), "{made:#?}");
    assert_sentence(&admin(&server, "boss@example.org", "correct horse battery"), 1, "already");
    assert_sentence(&admin(&server, "other@example.org", "short"), 2, "password");
    assert_sentence(&admin(&server, "nobody", "correct horse battery"), 2, "e-mail");

    let token = server.sign_in("boss@example.org", "correct horse battery").await;
    let seen = server.graphql(Some(&token), "{ accounts { nodes { email admin } } }", json!({})).await;
    assert_eq!(seen["accounts"]["nodes"], json!([{ "email": "boss@example.org", "admin": true }]));

    let again = server.same_again();
    assert!(server.stop().await.0.success());
    let server = Server::start(again).await;
    assert!(!server.greeting().contains("admin create"), "{}", server.greeting());
}

fn admin(server: &Server, email: &str, password: &str) -> Ended {
    let password_file = server.folder().join("password");
    fs::write(&password_file, format!("{password}\n")).unwrap();
    let mut command = smallrun();
    command
        .args(["admin", "create", "--password-stdin", "--email", email, "--data"])
        .arg(server.folder().path());
    Ended::of(command.stdin(fs::File::open(password_file).unwrap()))
}

#[tokio::test]
async fn health_endpoints_answer_and_a_stop_is_graceful_and_quick() {
    let server = Server::start(Setup::empty()).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = server.client().get(server.at(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }
    server.graphql(None, "{ __typename }", json!({})).await;
    let (status, took) = server.stop().await;
    assert!(status.success() && took < Duration::from_secs(10), "{status:?} after {took:?}");
}

#[tokio::test]
async fn readiness_shows_missing_migrations_and_metrics_show_waiting_work() {
    let server = Server::start(Setup::empty()).await;
    let asked = async |path: &str| {
        let answer = server.client().get(server.at(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let ready = async || {
        let (status, text) = asked("/readyz").await;
        (status, serde_json::from_str::<serde_json::Value>(&text).unwrap())
    };
    let checks = json!({ "bus": "ok", "database": "ok", "schema": "ok", "workers": "ok" });
    let well = json!({ "ready": true, "checks": checks });
    assert_eq!(ready().await, (200, well));
    let mut metrics = asked("/metrics").await.1;
    let patience = Instant::now();
    while !metrics.contains("smallrun_facts_lag_seconds") && patience.elapsed() < crate::harness::SOON {
        tokio::time::sleep(Duration::from_millis(20)).await;
        metrics = asked("/metrics").await.1;
    }
    for line in [
        "# HELP smallrun_queue_depth ",
        "smallrun_queue_depth{queue=\"mail\",state=\"dead\"} 0",
        "smallrun_queue_lag_seconds{queue=\"payments\"} 0",
        "smallrun_queue_oldest_seconds{queue=\"reservations\"} 0",
        "smallrun_timers_due 0",
        "smallrun_timer_lag_seconds 0",
        "smallrun_facts_unstamped 0",
        "smallrun_facts_lag_seconds 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // Simulates the restore of an older backup while the server is running.
    let database = Database::connect(server.database_url()).await.unwrap();
    database
        .execute_unprepared("DELETE FROM seaql_migrations WHERE version = 'm0010_task_history'")
        .await
        .unwrap();
    let (status, ill) = ready().await;
    let said = ill["checks"]["schema"].as_str().unwrap();
    let missing =
        said.starts_with("1 of the ") && said.contains("migrations of this program are not applied");
    assert!(status == 503 && missing, "{ill}");
    assert_eq!(
        (&ill["ready"], &ill["checks"]["database"], &ill["checks"]["workers"]),
        (&json!(false), &json!("ok"), &json!("ok"))
    );
}

#[tokio::test]
async fn the_connections_to_the_database_are_measured() {
    for (setup, pools) in [
        (Setup::empty(), &[("reader", 16), ("writer", 1)][..]),
        (Setup::empty().on_postgres().await.with("SMALLRUN_DATABASE_POOL_MAX", "7"), &[("shared", 7)]),
    ] {
        let server = Server::start(setup).await;
        let answer = server.client().get(server.at("/metrics")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let gauge =
            |name: String| text.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<u32>().ok());
        assert!(text.contains("# HELP smallrun_db_connections "), "{text}");
        for (pool, max) in pools {
            let of = |state| {
                gauge(format!("smallrun_db_connections{{pool=\"{pool}\",state=\"{state}\"}}")).unwrap()
            };
            assert_eq!(
                gauge(format!("smallrun_db_connections_max{{pool=\"{pool}\"}}")),
                Some(*max),
                "{text}"
            );
            assert!((1..=*max).contains(&(of("idle") + of("used"))), "{text}");
        }
    }
}

#[tokio::test]
async fn secrets_are_generated_once_and_are_private() {
    let server = Server::start(Setup::empty()).await;
    let again = server.same_again();
    let path = server.folder().join("secrets");
    let first = fs::read_to_string(&path).unwrap();
    assert!(first.contains("sandbox_webhook_secret"), "{first}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.stop().await.0.success());
    let server = Server::start(again).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), first);
    assert!(!server.log().contains("sr_whk_"), "the log contains a secret");
}

#[tokio::test]
async fn the_log_is_json_with_trace_ids_and_without_secrets() {
    let server = Server::start(Setup::empty().with("SMALLRUN_LOG", "debug")).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let (status, _) = server.send(Some("sr_ses_hunter-two"), "{ viewer { kind } }", json!({})).await;
    assert_eq!(status, 401);
    let traced = server
        .client()
        .get(server.at("/livez"))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert!(traced.send().await.unwrap().status().is_success());
    let sign_up =
        "mutation($input: AccountSignUpInput!) { accountSignUp(input: $input) { errors { code } } }";
    let person = json!({ "input": {
        "email": "somebody@example.org", "name": "Some Body", "password": "correct horse battery",
    } });
    server.graphql(None, sign_up, person).await;
    server.letter("somebody@example.org", "confirm-email").await;
    let log = server.log();
    // The progress of the start is printed on separate lines.
    for line in log.lines().filter(|line| !line.contains(" … ")) {
        let event: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
        assert!(event["level"].is_string() && event["timestamp"].is_string(), "{line}");
    }
    assert!(log.contains(trace), "the trace of a request is logged");
    for secret in ["hunter-two", "correct horse", "somebody@example.org", "sr_lnk_"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn work_left_over_by_a_crash_is_done_after_the_next_start() {
    let server = Server::start(Setup::empty()).await;
    let again = server.same_again();
    let sign_up =
        "mutation($input: AccountSignUpInput!) { accountSignUp(input: $input) { errors { code } } }";
    let person = json!({ "input": {
        "email": "somebody@example.org", "name": "Some Body", "password": "correct horse battery",
    } });
    server.graphql(None, sign_up, person).await;
    server.kill();
    let server = Server::start(again).await;
    server.letter("somebody@example.org", "confirm-email").await;
}
