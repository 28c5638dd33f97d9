//! A marketplace with one object of each kind that has an id, and viewers with different rights to them.

use std::collections::BTreeMap;

use domain::{
    accounts::{CreateAccount, CreateToken, Email, TokenName, create_admin, create_token, open_session_for},
    catalog::{
        imports::{StartImport, start_import},
        sheet::Sheet,
    },
    drops::queries::{items_of, pickup_places_of},
    platform::{
        access::{Actor, Buyer, Permission, TokenKind},
        idempotency::IdempotencyKey,
        ids::AccountId,
        in_tx,
        mail::SendMail,
        tasks::{self, AttemptFailure, AttemptOutcome, Queue, Task},
        text::TextLine,
    },
    reservations::{letters::HeldLetter, queries, withdraw_drop},
};
use sea_orm::DbErr;
use testkit::{Kit, market::Market};

use crate::edge::shop::{draft, open_drop, system};

/// The viewers, in the order of the columns.
pub(crate) const VIEWERS: [&str; 7] =
    ["public", "buyer", "other buyer", "member", "other member", "admin", "token without the scope"];

/// The tokens of the viewers and the ids of the objects.
pub(crate) struct World {
    pub(crate) tokens: BTreeMap<&'static str, String>,
    pub(crate) ids: BTreeMap<&'static str, String>,
}

async fn root(kit: &Kit) -> AccountId {
    let email = Email::new("root@example.org").unwrap();
    let request = CreateAccount { email, name: TextLine::new("root").unwrap(), password: None };
    create_admin(&kit.db, &system(), request).await.unwrap().id
}

impl World {
    pub(crate) async fn make(kit: &Kit) -> Self {
        let mut market = Market::new(kit).await;
        let terms = market.publish_terms().await;
        let mut tokens = BTreeMap::new();
        let mut ids = BTreeMap::new();
        let people = ["ada", "eve", "mia", "tom", "root"];
        let mut accounts = BTreeMap::new();
        for (viewer, name) in
            ["buyer", "other buyer", "member", "other member", "admin"].into_iter().zip(people)
        {
            let id = if viewer == "admin" { root(kit).await } else { market.account(name).await };
            accounts.insert(viewer, id);
            let signed_in = open_session_for(&kit.db, &system(), id).await.unwrap().unwrap();
            tokens.insert(viewer, signed_in.secret.expose().to_owned());
            if viewer == "buyer" {
                // The session in the table is not the one that sends the requests.
                ids.insert("session", signed_in.session.id.to_string());
                let another = open_session_for(&kit.db, &system(), id).await.unwrap().unwrap();
                tokens.insert(viewer, another.secret.expose().to_owned());
            }
        }
        ids.insert("account", accounts["buyer"].to_string());
        let scope = market.creator_of(Some(accounts["member"]), "Salt Glaze").await;
        market.creator_of(Some(accounts["other member"]), "Blue Loom").await;
        let creator = scope.creator();
        ids.insert("creator", creator.to_string());
        let token = async |permissions: &[Permission]| {
            let request = CreateToken {
                name: TokenName::new("shop").unwrap(),
                kind: TokenKind::Secret,
                permissions: permissions.to_vec(),
                expires_at: None,
            };
            create_token(&kit.db, &system().as_tokens(Some(creator)), request).await.unwrap()
        };
        tokens.insert(
            "token without the scope",
            token(&[Permission::SchemaRead]).await.secret.expose().to_owned(),
        );
        ids.insert("token", token(&[Permission::CatalogRead]).await.token.id.to_string());

        ids.insert("legal text", terms.to_string());

        let (open, hidden) = (open_drop(kit, &scope, "Mugs").await, draft(kit, &scope, "Secret").await);
        let withdrawn = open_drop(kit, &scope, "Bowls").await;
        withdraw_drop(&kit.db, &scope, withdrawn.id).await.unwrap();
        ids.insert("withdrawn drop", withdrawn.id.to_string());
        let places = pickup_places_of(&kit.db, &[open.id]).await.unwrap();
        ids.insert("pickup place", places[&open.id][0].id.to_string());
        ids.insert("hidden pickup place", market.pickup_place(&scope, "Attic").await.to_string());
        let items = items_of(&kit.db, &[open.id, hidden.id]).await.unwrap();
        let (item, hidden_item) = (&items[&open.id][0], &items[&hidden.id][0]);
        ids.insert("open drop", open.id.to_string());
        ids.insert("draft", hidden.id.to_string());
        ids.insert("item", item.id.to_string());
        ids.insert("item of a draft", hidden_item.id.to_string());
        ids.insert("variant", item.variant_id.to_string());
        let sight = domain::catalog::Sight::system(&system()).unwrap();
        let variants =
            domain::catalog::queries::variants_by_ids(&kit.db, &sight, &[item.variant_id]).await.unwrap();
        ids.insert("product", variants[&item.variant_id].product_id.to_string());

        let buyer = system().as_buyer(Buyer::Account(accounts["buyer"]));
        let checkout = market.hold(&buyer, &[(item, 1)], "ada").await;
        ids.insert("checkout", checkout.to_string());
        let lines = queries::lines_of(&kit.db, &[checkout]).await.unwrap();
        ids.insert("reservation", lines[&checkout][0].id.to_string());

        let sheet = Sheet::read(b"slug,title\nvase,Vase\n").unwrap();
        let import = StartImport { sheet, dry_run: true, key: IdempotencyKey::new("key-of-import").unwrap() };
        ids.insert("import", start_import(&kit.db, &scope, import).await.unwrap().0.id.to_string());
        ids.insert("dead letter", dead_letter(kit).await);
        Self { tokens, ids }
    }
}

async fn dead_letter(kit: &Kit) -> String {
    let actor = Actor::System("test");
    let buried: Result<_, DbErr> = in_tx(&kit.db, actor, async |tx| {
        tasks::enqueue(tx, SendMail::new(&HeldLetter { checkout: tx.new_id() })?).await?;
        let claimed = tasks::claim(tx, Queue::Mail, &[SendMail::KIND], 1).await?;
        tasks::bury(tx, &claimed[0], &AttemptFailure::new(AttemptOutcome::Discard, "the postman is ill"))
            .await?;
        Ok(claimed[0].id.to_string())
    })
    .await;
    buried.unwrap()
}
