//! Single requests to a server, outside of the measurement.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
};

/// A connection to a server whose responses must be successful.
pub struct Desk {
    address: SocketAddr,
    connection: Connection,
}

impl Desk {
    /// Opens a connection.
    pub async fn open(address: SocketAddr) -> Outcome<Self> {
        Ok(Self { address, connection: Connection::open(address).await? })
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a query and returns its `data`.
    pub async fn ask(&mut self, token: Option<&str>, query: &str, variables: Value) -> Outcome<Value> {
        let request = client::graphql(self.address, token, query, &variables);
        let answer = self.connection.exchange(&request).await?;
        let body: Value = serde_json::from_slice(answer.body).map_err(Trouble::doing("parse a response"))?;
        match body.get("data") {
            Some(data) if answer.status == 200 && body.get("errors").is_none() => Ok(data.clone()),
            _ => Err(Trouble::new(format_args!("the server answered {} {body} to {query}", answer.status))),
        }
    }

    /// Sends a mutation and returns its payload.
    pub async fn change(
        &mut self,
        token: &str,
        name: &str,
        kind: &str,
        selection: &str,
        input: Value,
    ) -> Outcome<Value> {
        let query = format!(
            "mutation($input: {kind}!) {{ {name}(input: $input) {{ \
             {selection} errors {{ message path }} }} }}"
        );
        let data = self.ask(Some(token), &query, json!({ "input": input })).await?;
        match data.get(name) {
            Some(payload) if payload.get("errors").and_then(Value::as_array).is_some_and(Vec::is_empty) => {
                Ok(payload.clone())
            }
            _ => Err(Trouble::new(format_args!("{name} was refused: {data}"))),
        }
    }
}

/// Returns the text at a JSON pointer.
pub fn text_at(value: &Value, path: &str) -> Outcome<String> {
    let text = value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Trouble::new(format_args!("no {path} in {value}")))
}
