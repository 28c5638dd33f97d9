//! Tests of the kit: fresh databases, a single writer, counted statements.

#![expect(clippy::unwrap_used, reason = "tests")]

use chrono::TimeDelta;
use domain::{
    accounts::letters::ConfirmEmailLetter,
    platform::{access::Actor, in_tx, mail::SendMail, tasks},
};
use sea_orm::{ConnectionTrait, DbErr};
use testkit::{Kit, on_both};

async fn queue_a_letter(kit: &Kit) {
    let account = kit.db.new_id();
    let letter = SendMail::new(&ConfirmEmailLetter { account }).unwrap();
    in_tx(&kit.db, Actor::System("test"), async |tx| tasks::enqueue(tx, letter).await).await.unwrap();
}

on_both! {
    async fn a_database_is_empty_and_its_state_shows_every_change(kit: Kit) {
        let before = kit.state().await;
        assert_eq!(before.count("tasks"), 0);
        queue_a_letter(&kit).await;
        assert_ne!(kit.state().await, before);
        assert_eq!(testkit::letters(&kit).await.len(), 1);
        assert_eq!(testkit::facts(&kit).await, Vec::<String>::new());
        assert_eq!(testkit::audit_actions(&kit).await, Vec::<String>::new());
    }

    async fn a_failed_transaction_leaves_nothing(kit: Kit) {
        let before = kit.state().await;
        let failed = in_tx(&kit.db, Actor::Public, async |tx| {
            tasks::enqueue(tx, SendMail::new(&ConfirmEmailLetter { account: tx.new_id() })?).await?;
            Err::<(), _>(DbErr::Custom("no".to_owned()))
        });
        failed.await.unwrap_err();
        assert_eq!(kit.state().await, before);
    }

    async fn time_moves_only_when_the_test_advances_it(kit: Kit) {
        assert_eq!(kit.db.now(), Kit::start());
        kit.clock.advance(TimeDelta::minutes(3));
        assert_eq!(kit.db.now(), Kit::start() + TimeDelta::minutes(3));
    }

    async fn statements_are_counted_inside_and_outside_of_transactions(kit: Kit) {
        let before = kit.db.statements();
        tasks::depths(&kit.db).await.unwrap();
        assert_eq!(kit.db.statements(), before + 1);
        queue_a_letter(&kit).await;
        assert_eq!(kit.db.statements(), before + 2);
    }

    async fn another_process_sees_what_was_committed(kit: Kit) {
        queue_a_letter(&kit).await;
        let other = kit.connect(2).await;
        assert_eq!(tasks::depths(&other).await.unwrap().len(), 1);
    }

    async fn many_writers_queue_instead_of_failing(kit: Kit) {
        let queue = async || {
            let letter = ConfirmEmailLetter { account: kit.db.new_id() };
            in_tx(&kit.db, Actor::Public, async |tx| tasks::enqueue(tx, SendMail::new(&letter)?).await).await
        };
        let writers: Vec<_> = (0..40).map(|_| queue()).collect();
        for written in futures_util::future::join_all(writers).await {
            written.unwrap();
        }
        assert_eq!(testkit::tasks(&kit).await.len(), 40);
    }
}

#[tokio::test]
async fn a_reader_of_sqlite_cannot_write() {
    let kit = Kit::sqlite().await;
    let written = kit.db.reader().execute_unprepared("DELETE FROM tasks").await;
    assert!(written.is_err(), "a write outside of `in_tx` succeeded");
}
