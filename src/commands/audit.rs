//! `smallrun audit`: verifies that the audit log is unchanged.

mod heads;

use std::path::PathBuf;

use domain::platform::{
    access::SystemScope,
    audit::{KnownHeads, Verified, VerifyError, verify},
};

use crate::{
    config::Config,
    database,
    exit::{EXIT_CODES, Exit, Failure, Outcome},
    terminal::{self, Step},
};
use heads::KnownHead;

/// The arguments of `smallrun audit`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Verify the audit log, and name the first row that was changed, deleted, inserted or reordered.
    ///
    /// Reads the whole log and changes nothing. Can run next to a running `serve`. Somebody who can write to
    /// the database could also seal the whole log again, or cut off its end. To detect this, pass the heads
    /// that the server logged with --log or --head.
    #[command(after_help = EXIT_CODES)]
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Verify {
    /// A log file of the server, in either format: the heads in it must match; can be given several times.
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// A head that must match: a segment's number and hash, as printed by an earlier verification; can be
    /// given several times.
    #[arg(long, value_name = "NUMBER:HEX")]
    head: Vec<KnownHead>,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    match &arguments.what {
        Subcommand::Verify(arguments) => verify_log(config, arguments).await,
    }
}

async fn verify_log(config: &Config, arguments: &Verify) -> Outcome {
    let known = known_heads(arguments)?;
    let db = database::open_current(config).await?;
    let step = Step::begin("Verifying the audit log");
    let progress =
        |done: i64, of: i64| step.at(usize::try_from(done).unwrap_or(0), usize::try_from(of).unwrap_or(0));
    let verified = verify(&db, &SystemScope::new("command-line").as_admin(), &known, progress).await;
    step.done_with(if verified.is_ok() { "done" } else { "stopped" });
    database::close(db).await;
    match verified {
        Ok(verified) => {
            terminal::answer(&in_words(&verified));
            Ok(())
        }
        Err(VerifyError::Tampered(tampering)) => {
            let what_to_do =
                "Find out who could write to the database, and compare it with an earlier backup";
            Err(Failure::new(Exit::BadDatabase, tampering, what_to_do))
        }
        Err(VerifyError::Db(error)) => Err(database::failure(config, "verify the audit log", &error)),
    }
}

/// Collects the heads that must match, from the command line and from the log files.
fn known_heads(arguments: &Verify) -> Outcome<KnownHeads> {
    let mut known = KnownHeads::default();
    for path in &arguments.log {
        heads::read(path, &mut known).map_err(|cause| {
            let what = format!("the log `{}` cannot be read: {cause}", path.display());
            Failure::new(Exit::Usage, what, "Correct --log, or make the file readable for this user")
        })?;
    }
    if known.is_empty() && !arguments.log.is_empty() {
        // Without this error, the caller would believe that the heads were compared.
        let what = "the files given with --log contain no head of the audit log";
        return Err(Failure::new(
            Exit::Usage,
            what,
            "Pass the log of the server; its setting `log` must not contain `audit=off`",
        ));
    }
    for head in &arguments.head {
        known.add(head.segment, head.head);
    }
    Ok(known)
}

fn in_words(verified: &Verified) -> String {
    let Verified { segments, rows, head, heads_known, unsealed } = verified;
    let mut text = match head {
        Some(head) => format!(
            "{rows} rows in {segments} segments are unchanged since they were sealed. The last head is\n\n  \
             {segments}:{head}\n\nStore it where nobody who can write to the database can change it.\n"
        ),
        None => "The audit log has no sealed rows yet.\n".to_owned(),
    };
    if *heads_known > 0 {
        text.push_str(&format!("Matching heads from --log and --head: {heads_known}\n"));
    }
    if *unsealed > 0 {
        text.push_str(&format!("Rows not sealed yet: {unsealed}\n"));
    }
    text
}
