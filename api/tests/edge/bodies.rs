//! Compressed request bodies and compressed answers.

use std::io::{Read, Write};

use actix_web::{
    http::StatusCode,
    test::{self, TestRequest},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};
use testkit::Kit;

use crate::edge::shop::{api, send, serve};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn posted(encoding: &'static str, body: Vec<u8>) -> TestRequest {
    let request = TestRequest::post().uri("/graphql").insert_header(("content-type", "application/json"));
    request.insert_header(("content-encoding", encoding)).set_payload(body)
}

#[test]
fn gzip_bodies_are_accepted_and_decompression_bombs_refused() {
    testkit::run(Kit::sqlite(), async |kit| {
        let query = json!({ "query": "{ __typename }" }).to_string().into_bytes();
        let bomb = gzip(format!("{{\"query\":\"{{ __typename }}\"{}}}", " ".repeat(50_000_000)).as_bytes());
        assert!(bomb.len() < 100_000);
        for (encoding, body, status) in [
            ("gzip", gzip(&query), 200),
            ("GZIP", gzip(&query), 200),
            ("identity", query.clone(), 200),
            ("gzip", bomb, 413),
            ("gzip", query.clone(), 400),
            ("gzip", gzip(&query)[..20].to_vec(), 400),
            ("br", query.clone(), 415),
            ("deflate", query.clone(), 415),
            ("gzip, gzip", gzip(&gzip(&query)), 415),
            ("", query.clone(), 415),
        ] {
            let answer = send(api(&kit), posted(encoding, body)).await;
            assert_eq!(answer.status.as_u16(), status, "{encoding}: {}", answer.text);
            if status != 200 {
                assert_eq!(answer.code(), "BAD_REQUEST");
            }
            if status == 415 {
                assert_eq!(answer.header("accept-encoding"), "gzip");
            }
        }
    });
}

#[test]
fn long_answers_are_compressed_for_clients_that_accept_gzip() {
    testkit::run(Kit::sqlite(), async |kit| {
        let service = serve!(api(&kit));
        let ask = async |query: &str, accept: &str| {
            let request = TestRequest::post().uri("/graphql").set_json(json!({ "query": query }));
            let response =
                test::call_service(&service, request.insert_header(("accept-encoding", accept)).to_request())
                    .await;
            assert_eq!(response.status(), StatusCode::OK);
            let header =
                |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let varies = response.headers().get_all("vary").any(|vary| vary == "accept-encoding");
            let encoding = header("content-encoding");
            (encoding, varies, test::read_body(response).await.to_vec())
        };
        let schema = "{ __schema { types { name description fields { name description } } } }";
        let (encoding, varies, plain) = ask(schema, "br").await;
        assert_eq!((encoding, varies), (None, true));
        let (encoding, varies, zipped) = ask(schema, "gzip, br").await;
        assert_eq!((encoding.as_deref(), varies), (Some("gzip"), true));
        assert!(
            plain.len() > 32 * 1024 && zipped.len() * 3 < plain.len(),
            "{} {}",
            plain.len(),
            zipped.len()
        );
        let mut unzipped = Vec::new();
        GzDecoder::new(&zipped[..]).read_to_end(&mut unzipped).unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&unzipped).unwrap(),
            serde_json::from_slice::<Value>(&plain).unwrap()
        );
        assert_eq!(ask("{ __typename }", "gzip").await.0, None);
        let middling = "{ __type(name: \"Drop\") { fields { name description } } }";
        assert_eq!(ask(middling, "gzip").await.0.as_deref(), Some("gzip"));
    });
}
