//! Tests of the SMTP mailer: the dialogue with a server, and the meaning of its replies.

#![expect(clippy::unwrap_used, reason = "tests")]

use domain::platform::mail::{Mail, MailError, Mailer};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use workers::mail::SmtpMailer;

/// Starts a server for one connection that gives this reply to `RCPT`. Its result is everything that it
/// received.
async fn server(to_recipient: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    let told = tokio::spawn(async move { converse(listener.accept().await.unwrap().0, to_recipient).await });
    (url, told)
}

async fn converse(stream: TcpStream, to_recipient: &str) -> String {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let (mut told, mut in_data) = (String::new(), false);
    write.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
    while let Ok(Some(line)) = lines.next_line().await {
        told.push_str(&line);
        told.push('\n');
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        let answer = match verb.as_str() {
            _ if in_data && line != "." => continue,
            "RCPT" => to_recipient,
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => {
                in_data = false;
                "250 fine"
            }
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
        if verb == "QUIT" {
            break;
        }
    }
    told
}

fn mail() -> Mail {
    Mail {
        id: "task_01".to_owned(),
        asked_at: chrono::DateTime::from_timestamp(1_772_446_200, 0).unwrap(),
        to: "ada@example.org".to_owned(),
        subject: "Confirm your e-mail address".to_owned(),
        text: "Hello Ada,\n\nhttps://shop.example/confirm-email?code=sr_link_0\n.\n".to_owned(),
    }
}

#[tokio::test]
async fn a_letter_is_sent_with_its_message_id() {
    let (url, told) = server("250 fine").await;
    let mailer = SmtpMailer::new(&url, "Shop <post@shop.example>").unwrap();
    mailer.send(&mail()).await.unwrap();
    drop(mailer);
    let told = told.await.unwrap();
    for part in [
        "MAIL FROM:<post@shop.example>",
        "RCPT TO:<ada@example.org>",
        "Message-ID: <task_01@shop.example>",
        "\nhttps://shop.example/confirm-email?code=sr_link_0\n..\n",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn an_address_that_the_server_does_not_know_is_not_retried_and_not_logged() {
    let (url, _told) = server("550 5.1.1 <ada@example.org> unknown").await;
    match SmtpMailer::new(&url, "post@shop.example").unwrap().send(&mail()).await {
        Err(MailError::Never(why)) => assert!(why.contains("unknown") && !why.contains("ada@"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn temporary_errors_of_the_server_are_retried() {
    for answer in ["451 4.7.1 greylisted", "552 5.2.2 box full", "421 closing"] {
        let (url, _told) = server(answer).await;
        let sent = SmtpMailer::new(&url, "post@shop.example").unwrap().send(&mail()).await;
        assert!(matches!(sent, Err(MailError::Later(_))), "{answer}: {sent:?}");
    }
    let nobody = SmtpMailer::new("smtp://127.0.0.1:9", "post@shop.example").unwrap().send(&mail()).await;
    assert!(matches!(nobody, Err(MailError::Later(_))), "{nobody:?}");
}
