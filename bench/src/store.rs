//! The storage of the measured server and the floors: a temporary folder and, on PostgreSQL, two new
//! databases.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

use sea_orm::{ConnectionTrait as _, Database};

use crate::{Outcome, Trouble};

/// The environment variable with the URL of a PostgreSQL server, the same as the product's.
pub const DATABASE_URL: &str = "SMALLRUN_DATABASE_URL";

/// The location of a database.
#[derive(Debug, Clone)]
pub enum Place {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database.
    Postgres(String),
}

/// The folder and the databases of one run.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    /// The PostgreSQL server, and the databases created on it.
    postgres: Option<Postgres>,
    floor: Place,
}

#[derive(Debug)]
struct Postgres {
    server: String,
    names: [String; 2],
    product: String,
}

impl Store {
    /// Creates the folder. If one of these variables is set to the URL of a PostgreSQL server, also creates
    /// databases on it; the first variable that is set counts.
    pub async fn make(purpose: &str, variables: &[&str]) -> Outcome<Self> {
        let name = format!("smallrun-{purpose}-{}", process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir_all(&folder)
            .map_err(Trouble::doing(format_args!("create the folder `{}`", folder.display())))?;
        let mut store = Self { floor: Place::Sqlite(folder.join("floor.sqlite")), folder, postgres: None };
        let server = variables.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
        if server.starts_with("postgres://") || server.starts_with("postgresql://") {
            let (product, floor) = (name.replace('-', "_"), format!("{}_floor", name.replace('-', "_")));
            let product_url = with_database(&server, &product)?;
            store.floor = Place::Postgres(with_database(&server, &floor)?);
            store.postgres = Some(Postgres { server, names: [product, floor], product: product_url });
            if let Err(trouble) = store.on_server(|name| format!("CREATE DATABASE {name}")).await {
                store.remove().await;
                return Err(trouble);
            }
        }
        Ok(store)
    }

    /// Returns the product's data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Returns the file for the output of a server.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// Returns the product's database as a variable and its value, if it is not in the data folder.
    pub fn database_url(&self) -> Option<(&'static str, &str)> {
        self.postgres.as_ref().map(|postgres| (DATABASE_URL, postgres.product.as_str()))
    }

    /// Returns the floor's database.
    pub fn floor_place(&self) -> &Place {
        &self.floor
    }

    /// Returns the kind of database.
    pub fn kind(&self) -> &'static str {
        if self.postgres.is_some() { "PostgreSQL" } else { "SQLite" }
    }

    /// Describes the location in the words of a progress message.
    pub fn describe(&self) -> String {
        let kind = self.kind();
        format!("on {kind}, in {}", self.folder.display())
    }

    /// Removes the folder and the databases.
    pub async fn remove(&self) {
        if let Err(trouble) =
            self.on_server(|name| format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
        {
            eprintln!("warning: {trouble}.");
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("warning: could not remove {}: {error}.", self.folder.display());
        }
    }

    async fn on_server(&self, statement: impl Fn(&str) -> String) -> Outcome<()> {
        let Some(postgres) = &self.postgres else { return Ok(()) };
        let doing = async {
            let connection = Database::connect(postgres.server.as_str()).await?;
            for name in &postgres.names {
                connection.execute_unprepared(&statement(name)).await?;
            }
            connection.close().await
        };
        doing.await.map_err(Trouble::doing("create or drop the databases of the measurement"))
    }
}

/// Returns the URL of another database on the same server.
fn with_database(url: &str, name: &str) -> Outcome<String> {
    let (address, options) = match url.split_once('?') {
        Some((address, options)) => (address, format!("?{options}")),
        None => (url, String::new()),
    };
    match address.rsplit_once('/') {
        Some((server, _)) if !server.ends_with('/') => Ok(format!("{server}/{name}{options}")),
        Some(_) => Ok(format!("{address}/{name}{options}")),
        None => Err(Trouble::new("the URL of the database is not a PostgreSQL URL")),
    }
}

/// Returns the last lines of a file, to explain a failure.
pub fn tail(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(8).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_another_database_on_the_same_server() {
        for (url, expected) in [
            ("postgres://me:pw@db:5432/shop", "postgres://me:pw@db:5432/bench"),
            ("postgres://me@db/shop?sslmode=require", "postgres://me@db/bench?sslmode=require"),
            ("postgres://db", "postgres://db/bench"),
        ] {
            assert_eq!(with_database(url, "bench").unwrap(), expected);
        }
    }
}
