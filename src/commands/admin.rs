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

/// What can be said after `admin`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make an administrator, with a confirmed address.
    ///
    /// Asks for the password on the terminal, or reads it as one line of the input. Runs beside a running
    /// `serve`.
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The e-mail address to sign in with.
    #[arg(long, value_name = "EMAIL")]
    email: String,
    /// The name that others see.
    #[arg(long, value_name = "NAME", default_value = "Administrator")]
    name: String,
    /// Read the password from the input even where it could be asked for.
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(config: &Config, arguments: &Arguments) -> Outcome {
    match &arguments.what {
        What::Create(create) => make(config, create).await,
    }
}

async fn make(config: &Config, create: &Create) -> Outcome {
    let wrong = |what: &str, why: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format_args!("the {what} {why}"), "See `smallrun admin create --help`")
    };
    let email = Email::new(&create.email).map_err(|why| wrong("e-mail address", &why))?;
    let name = AccountName::new(&create.name).map_err(|why| wrong("name", &why))?;
    // Before anybody types a password in vain.
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
            let what = if already { "is an administrator already" } else { "cannot be one" };
            Err(Failure::new(
                Exit::Failed,
                format_args!("{} {what}", create.email),
                "Sign in, or choose another address",
            ))
        }
        Err(OpError::Db(error)) => Err(database::failure(config, "make the administrator", &error)),
        Err(error @ (OpError::Busy(_) | OpError::Inconsistent(_))) => {
            Err(Failure::unexpected("make the administrator", &error))
        }
    }
}

fn ask_password(create: &Create) -> Outcome<String> {
    let unread = |cause: std::io::Error| {
        Failure::new(
            Exit::Failed,
            format_args!("the password could not be read: {cause}"),
            "Give it with --password-stdin",
        )
    };
    if create.password_stdin || !prompt::somebody_is_there() {
        return prompt::read_line().map_err(unread);
    }
    let first = prompt::ask_secretly("Password (8 to 128 characters):").map_err(unread)?;
    let again = prompt::ask_secretly("The same again:").map_err(unread)?;
    if first == again {
        Ok(first)
    } else {
        Err(Failure::new(Exit::Usage, "the two passwords differ", "Run again and type the same twice"))
    }
}
