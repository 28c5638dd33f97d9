//! `smallrun admin`: administrators of the marketplace.

use domain::{
    accounts::{AccountName, CreateAccount, CreateAdminRefusal, Email, Password, create_admin},
    platform::{OpError, access::SystemScope},
};

use crate::{
    config::Config,
    database,
    exit::{Exit, Failure, Outcome},
    prompt, terminal,
};

/// The arguments of `smallrun admin`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Create an administrator with a confirmed e-mail address.
    ///
    /// Asks for the password on the terminal, or reads it as one line from standard input. Can run next to a
    /// running `serve`.
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The e-mail address to sign in with.
    #[arg(long, value_name = "EMAIL")]
    email: String,
    /// The name shown to other people.
    #[arg(long, value_name = "NAME", default_value = "Administrator")]
    name: String,
    /// Read the password from standard input, even on a terminal.
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    match &arguments.what {
        Subcommand::Create(create) => make(config, create).await,
    }
}

async fn make(config: &Config, create: &Create) -> Outcome {
    let wrong = |what: &str, why: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format_args!("the {what} {why}"), "See `smallrun admin create --help`")
    };
    let email = Email::new(&create.email).map_err(|why| wrong("e-mail address", &why))?;
    let name = AccountName::new(&create.name).map_err(|why| wrong("name", &why))?;
    // Open the database before asking, so that nobody types a password for nothing.
    let db = database::open_current(config).await?;
    let password = Password::new(&ask_password(create)?).map_err(|why| wrong("password", &why))?;
    let scope = SystemScope::new("command-line");
    let made = create_admin(&db, &scope, CreateAccount { email, name, password: Some(password) }).await;
    database::close(db).await;
    match made {
        Ok(account) => {
            terminal::answer(&format!("{} is an administrator now.\n", account.email.as_str()));
            Ok(())
        }
        Err(OpError::Refused(why)) => {
            let already = why.iter().all(|refused| match refused.code {
                CreateAdminRefusal::AlreadyAdmin => true,
            });
            let what = if already { "is already an administrator" } else { "cannot be an administrator" };
            Err(Failure::new(
                Exit::Failed,
                format_args!("{} {what}", create.email),
                "Sign in with this address, or choose another",
            ))
        }
        Err(OpError::Db(error)) => Err(database::failure(config, "create the administrator", &error)),
        Err(error @ (OpError::Busy(_) | OpError::Inconsistent(_))) => {
            Err(Failure::unexpected("create the administrator", &error))
        }
    }
}

fn ask_password(create: &Create) -> Outcome<String> {
    let unread = |cause: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format_args!("the password could not be read: {cause}"),
            "Pass it on standard input with --password-stdin",
        )
    };
    if create.password_stdin || !prompt::is_interactive() {
        return prompt::read_line().map_err(unread);
    }
    let first = prompt::ask_secret("Password (8 to 128 characters):").map_err(unread)?;
    let again = prompt::ask_secret("Repeat the password:").map_err(unread)?;
    if first == again {
        Ok(first)
    } else {
        Err(Failure::new(
            Exit::Usage,
            "the two passwords differ",
            "Run the command again and type the same password twice",
        ))
    }
}
