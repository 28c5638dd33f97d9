//! Internal failures: they are reported, but their details are not shown.

use std::time::Duration;

use actix_web::http::StatusCode;
use api::Check;
use domain::platform::{access::Actor, in_tx};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement, StreamTrait};
use serde_json::{Value, json};
use testkit::{Kit, on_both};
use tokio::sync::oneshot;

use crate::edge::shop::{api, data, person, posted, send, serve};

on_both! {
    async fn a_failure_of_the_database_is_shown_without_details(kit: Kit) {
        kit.db.schema_connection().execute_unprepared("DROP TABLE tags").await.unwrap();
        kit.db
            .schema_connection()
            .execute_unprepared("ALTER TABLE creators RENAME TO workshops")
            .await
            .unwrap();
        for query in [
            "{ creators { nodes { name } } }",
            "{ node(id: \"creator_01h455vb4pex5vsknk084sn02q\") { id } }",
            "{ products(filter: { tag: \"clay\" }) { nodes { title } } }",
        ] {
            let request = posted(query, json!({}))
                .insert_header(("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
            let answer = send(api(&kit), request).await;
            assert_eq!(answer.status, StatusCode::OK, "{query}");
            let error = &answer.json()["errors"][0];
            let extensions = json!({ "code": "INTERNAL", "traceId": "4bf92f3577b34da6a3ce929d0e0e4736" });
            assert_eq!(
                (&error["message"], &error["extensions"]),
                (&json!("internal error"), &extensions),
                "{query}"
            );
            for inside in ["tags", "table", "relation", "SELECT", "sqlx"] {
                assert!(
                    !answer.text.to_lowercase().contains(&inside.to_lowercase()),
                    "{inside}: {}",
                    answer.text
                );
            }
        }
    }

    async fn a_mutation_that_has_begun_completes_although_its_client_disconnects(kit: Kit) {
        let token = person(&kit, "ada").await;
        let edge = ::api::http::edge(api(&kit));
        let service = serve!(of edge);
        let (db, (locked, is_locked), (go_on, may_go_on)) =
            (kit.db.clone(), oneshot::channel(), oneshot::channel::<()>());
        let other = tokio::spawn(async move {
            in_tx(&db, Actor::System("test"), async |tx| {
                if db.backend() == DbBackend::Postgres {
                    tx.conn().execute_unprepared("LOCK TABLE slugs IN EXCLUSIVE MODE").await?;
                }
                locked.send(()).unwrap();
                may_go_on.await.unwrap();
                Ok::<_, DbErr>(())
            })
            .await
        });
        is_locked.await.unwrap();
        let input =
            json!({ "name": "Salt Glaze", "country": "DE", "timeZone": "Europe/Berlin", "currency": "EUR" });
        let query = "mutation M($input: CreatorCreateInput!) {
            creatorCreate(input: $input) { creator { id } errors { code } }
        }";
        // Sent once before, so that the document is cached.
        actix_web::test::call_service(&service, posted(query, json!({})).to_request()).await;
        let request = posted(query, json!({ "input": input }))
            .insert_header(("authorization", format!("Bearer {token}")));
        {
            let mut call = Box::pin(actix_web::dev::Service::call(&service, request.to_request()));
            while edge.mutations() == 0 {
                assert!(futures_util::poll!(&mut call).is_pending());
                tokio::task::yield_now().await;
            }
        }
        go_on.send(()).unwrap();
        other.await.unwrap().unwrap();
        loop {
            let seen = data(&kit, "{ creator(slug: \"salt-glaze\") { name } }", json!({})).await;
            if seen["creator"] != Value::Null {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[test]
fn a_query_that_takes_too_long_is_cancelled() {
    testkit::run(Kit::sqlite(), async |kit| {
        let mut api = api(&kit);
        api.db = kit.connect(1).await;
        api.edge.query_deadline = Duration::from_millis(20);
        // Occupies the only connection for reading.
        let reader = api.db.clone();
        let rows = Statement::from_string(reader.backend(), "SELECT 1 UNION ALL SELECT 2");
        let held = reader.reader().stream_raw(rows).await.unwrap();
        let answer = send(api, posted("{ creators { nodes { name } } }", json!({}))).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "DEADLINE_EXCEEDED")
        );
        drop(held);
    });
}

#[test]
fn a_server_without_its_database_is_live_but_not_ready() {
    testkit::run(Kit::sqlite(), async |kit| {
        use actix_web::test::TestRequest;
        let ready = send(api(&kit), TestRequest::get().uri("/readyz")).await;
        assert_eq!(
            (ready.status, ready.json()),
            (StatusCode::OK, json!({ "ready": true, "checks": { "database": "ok" } }))
        );
        kit.db.reader().clone().close().await.unwrap();
        let ready = send(api(&kit), TestRequest::get().uri("/readyz")).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        let said = json!({ "ready": false, "checks": { "database": "the database does not answer" } });
        assert_eq!(ready.json(), said, "and nothing of the inside");
        assert_eq!(send(api(&kit), TestRequest::get().uri("/livez")).await.status, StatusCode::OK);
        assert_eq!(send(api(&kit), TestRequest::get().uri("/metrics")).await.text, "smallrun_up 1\n");
    });
}

#[test]
fn readiness_reports_failed_checks_and_is_bounded_in_time() {
    testkit::run(Kit::sqlite(), async |kit| {
        use actix_web::test::TestRequest;
        let mut api = api(&kit);
        api.checks = vec![
            Check::new("schema", async || Ok(())),
            Check::new("bus", async || Err("the broker does not answer".to_owned())),
            Check::new("workers", std::future::pending),
        ];
        let ready = send(api, TestRequest::get().uri("/readyz")).await;
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        let checks = json!({
            "database": "ok", "schema": "ok", "bus": "the broker does not answer",
            "workers": "no answer within 2 s",
        });
        assert_eq!(ready.json(), json!({ "ready": false, "checks": checks }));
    });
}
