//! Pickup places: their operations, the drops that offer them, reservations that are picked up there, and who
//! sees the address.

use std::{collections::BTreeSet, fmt::Debug};

use domain::{
    catalog::Sight,
    creators::pickup_places::{
        ArchivePickupPlaceRefusal, CreatePickupPlace, CreatePickupPlaceRefusal, UpdatePickupPlace,
        UpdatePickupPlaceRefusal, archive, create, queries, update,
    },
    drops::{
        self, CreateDrop, CreateDropRefusal, PublishRefusal, UpdateDrop, UpdateDropRefusal,
        queries::{pickup_places_by_ids, pickup_places_of},
    },
    platform::{
        OpError, PathStep,
        access::{Browse, CreatorScope, Viewer, authorize},
        ids::{DropId, PickupPlaceId},
        page::Page,
    },
    reservations::{
        self, AskRefusal, RequestedLine, ReserveRefusal, Reserved, ask,
        desk::{Desk, DeskSettings},
        queries::{lines_of, open_places},
        quote::{DeliveryMethod, QuoteRefusal},
        reserve, set_tax_rate,
    },
};
use testkit::{
    Kit, audit_actions, facts,
    market::{MadeDrop, Market, item, system},
    on_both, requests,
};
use uuid::Uuid;

use crate::reservations::paying::paid;

/// Returns the codes of a refusal, each with its path.
fn told<T: Debug, R: Debug + Copy>(result: Result<T, OpError<R>>) -> Vec<(R, String)> {
    let path = |steps: &[PathStep]| steps.iter().map(PathStep::to_string).collect::<Vec<_>>().join(".");
    match result {
        Err(OpError::Refused(why)) => why.iter().map(|why| (why.code, path(&why.path))).collect(),
        other => panic!("{other:?}"),
    }
}

fn unknown() -> PickupPlaceId {
    PickupPlaceId(Uuid::from_u128(1))
}

async fn names(kit: &Kit, scope: &CreatorScope, archived: bool) -> Vec<String> {
    let slice = queries::list(&kit.db, scope, archived, &Page::first(100)).await.unwrap();
    let count = queries::count(&kit.db, scope, archived).await.unwrap();
    assert_eq!(usize::try_from(count).unwrap(), slice.rows.len());
    slice.rows.into_iter().map(|(_, place)| place.name).collect()
}

async fn offered(kit: &Kit, drop: DropId) -> Vec<PickupPlaceId> {
    let places = pickup_places_of(&kit.db, &[drop]).await.unwrap().remove(&drop).unwrap_or_default();
    places.into_iter().map(|place| place.id).collect()
}

fn with_places(places: &[PickupPlaceId]) -> UpdateDrop {
    UpdateDrop { pickup_places: Some(places.to_vec()), ..UpdateDrop::default() }
}

/// A market with a creator and its two pickup places.
struct Stage {
    market: Market,
    potter: CreatorScope,
    yard: PickupPlaceId,
    stall: PickupPlaceId,
}

async fn stage(kit: &Kit) -> Stage {
    let market = Market::new(kit).await;
    let potter = market.creator("Salt Glaze").await;
    let yard = market.pickup_place(&potter, "Yard").await;
    let stall = market.pickup_place(&potter, "Stall").await;
    Stage { market, potter, yard, stall }
}

impl Stage {
    /// Opens a drop of ten cups that offers these places.
    async fn open(&self, places: &[PickupPlaceId]) -> MadeDrop {
        let plan = self.market.drop(&self.potter, "Firing").with(item("CUP"));
        plan.terms(|terms| terms.pickup_places = places.to_vec()).open().await
    }
}

on_both! {
    async fn a_place_is_created_changed_and_archived(kit: Kit) {
        let Stage { potter, yard, .. } = stage(&kit).await;
        let before = facts(&kit).await.len();
        let change = UpdatePickupPlace {
            version: Some(1),
            name: Some(requests::line("Back yard")),
            hours: Some(None),
            line2: Some(Some(requests::line("Left door"))),
            ..UpdatePickupPlace::default()
        };
        let changed = update(&kit.db, &potter, yard, change.clone()).await.unwrap();
        assert_eq!((changed.name.as_str(), changed.hours, changed.version), ("Back yard", None, 2));
        assert_eq!(changed.line2.as_deref(), Some("Left door"));
        assert_eq!(changed.note.as_deref(), Some("Ring twice."));
        let again = update(&kit.db, &potter, yard, change).await;
        assert_eq!(told(again), [(UpdatePickupPlaceRefusal::Conflict, "version".to_owned())]);
        let archived = archive(&kit.db, &potter, yard).await.unwrap();
        assert!(archived.archived_at.is_some());
        kit.clock.advance(chrono::TimeDelta::hours(1));
        assert_eq!(archive(&kit.db, &potter, yard).await.unwrap().archived_at, archived.archived_at);
        assert_eq!((names(&kit, &potter, false).await, names(&kit, &potter, true).await),
            (vec!["Stall".to_owned()], vec!["Back yard".to_owned()]));
        assert_eq!(facts(&kit).await.split_off(before), ["creator_changed"; 3]);
        let actions = audit_actions(&kit).await;
        assert_eq!(
            actions[actions.len() - 5..],
            ["create", "create", "update", "archive", "archive"].map(|verb| format!("pickup_place.{verb}"))
        );
    }

    async fn another_creators_place_reads_like_an_unknown_one(kit: Kit) {
        let Stage { market, potter, yard, .. } = stage(&kit).await;
        let weaver = market.creator("Blue Loom").await;
        let draft = market.drop(&weaver, "Scarves").draft().await.drop;
        let before = kit.state().await;
        for place in [yard, unknown()] {
            let path = "id".to_owned();
            assert_eq!(
                told(update(&kit.db, &weaver, place, UpdatePickupPlace::default()).await),
                [(UpdatePickupPlaceRefusal::NotFound, path.clone())]
            );
            assert_eq!(
                told(archive(&kit.db, &weaver, place).await),
                [(ArchivePickupPlaceRefusal::NotFound, path)]
            );
            let path = "pickupPlaceIds.0".to_owned();
            let terms = CreateDrop { pickup_places: vec![place], ..requests::drop(kit.db.now(), "Rugs") };
            assert_eq!(
                told(drops::create(&kit.db, &weaver, terms).await),
                [(CreateDropRefusal::PickupPlaceNotFound, path.clone())]
            );
            assert_eq!(
                told(drops::update(&kit.db, &weaver, draft.id, with_places(&[place])).await),
                [(UpdateDropRefusal::PickupPlaceNotFound, path)]
            );
            assert_eq!(kit.state().await, before);
        }
        assert_eq!(names(&kit, &weaver, false).await, ["Workshop"]);
        assert_eq!(names(&kit, &potter, false).await, ["Stall", "Yard"]);
    }

    async fn a_creator_has_a_bounded_number_of_places(kit: Kit) {
        let Stage { potter, yard, .. } = stage(&kit).await;
        let request = || requests::pickup_place("One of many");
        for _ in 2..100 {
            create(&kit.db, &potter, request()).await.unwrap();
        }
        let before = kit.state().await;
        assert_eq!(
            told(create(&kit.db, &potter, request()).await),
            [(CreatePickupPlaceRefusal::TooManyPickupPlaces, String::new())]
        );
        assert_eq!(kit.state().await, before);
        archive(&kit.db, &potter, yard).await.unwrap();
        create(&kit.db, &potter, request()).await.unwrap();
    }

    async fn a_published_drop_with_pickup_has_places_that_can_only_be_added(kit: Kit) {
        let Stage { market, potter, yard, stall } = stage(&kit).await;
        let made = market.drop(&potter, "Firing").with(item("CUP")).draft().await;
        let id = made.drop.id;
        let update = async |places: &[PickupPlaceId]| {
            drops::update(&kit.db, &potter, id, with_places(places)).await
        };
        let publish = async || drops::publish(&kit.db, &potter, id).await;
        let list = || "pickupPlaceIds".to_owned();
        update(&[]).await.unwrap();
        assert_eq!(told(publish().await), [(PublishRefusal::NoPickupPlace, list())]);
        update(&[yard, stall, yard]).await.unwrap();
        assert_eq!(offered(&kit, id).await, [yard, stall]);
        archive(&kit.db, &potter, stall).await.unwrap();
        assert_eq!(
            told(publish().await),
            [(PublishRefusal::PickupPlaceArchived, "pickupPlaceIds.1".to_owned())]
        );
        update(&[yard]).await.unwrap();
        publish().await.unwrap();
        let barn = market.pickup_place(&potter, "Barn").await;
        let before = kit.state().await;
        for (places, expected) in [
            (vec![], (UpdateDropRefusal::Frozen, list())),
            (vec![barn], (UpdateDropRefusal::Frozen, list())),
            (vec![yard, stall], (UpdateDropRefusal::PickupPlaceNotFound, "pickupPlaceIds.1".to_owned())),
            (vec![yard; 21], (UpdateDropRefusal::TooManyPickupPlaces, list())),
        ] {
            assert_eq!(told(update(&places).await), [expected], "{places:?}");
            assert_eq!(kit.state().await, before);
        }
        // A place that is offered already may be archived.
        archive(&kit.db, &potter, yard).await.unwrap();
        update(&[barn, yard]).await.unwrap();
        assert_eq!(offered(&kit, id).await, [barn, yard]);
        assert!(audit_actions(&kit).await.ends_with(&["drop.update".to_owned()]));
    }

    async fn a_drop_without_pickup_needs_no_place(kit: Kit) {
        let Stage { market, potter, .. } = stage(&kit).await;
        let shipped = market.drop(&potter, "Cups").with(item("CUP")).terms(|terms| terms.pickup = false);
        let shipped = shipped.open().await.drop;
        assert_eq!(offered(&kit, shipped.id).await, []);
    }

    async fn a_reservation_is_picked_up_at_the_chosen_or_only_place(kit: Kit) {
        let stage = stage(&kit).await;
        let made = stage.open(&[stage.yard, stage.stall]).await;
        let ada = stage.market.buyer("ada").await;
        let request = |delivery, place, name: &str| {
            let mut request = stage.market.request(&[(&made.items[0], 1)], name);
            (request.lines[0].delivery, request.lines[0].pickup_place) = (delivery, place);
            request
        };
        let (pickup, shipping) = (DeliveryMethod::Pickup, DeliveryMethod::Shipping);
        let before = kit.state().await;
        for (delivery, place, expected) in [
            (pickup, None, QuoteRefusal::PickupPlaceNeeded),
            (pickup, Some(unknown()), QuoteRefusal::PickupPlaceNotOffered),
            (shipping, Some(stage.yard), QuoteRefusal::PickupPlaceNotOffered),
        ] {
            let path = || "lines.0.pickupPlaceId".to_owned();
            let request = request(delivery, place, "refused");
            assert_eq!(
                told(reserve(&kit.db, &ada, &request).await),
                [(ReserveRefusal::Quote(expected), path())]
            );
            let public = authorize(&Viewer::Public, Browse).unwrap();
            let asked = ask(&kit.db, &public, &request.lines, request.address.country).await;
            assert_eq!(told(asked), [(AskRefusal::Quote(expected), path())]);
            assert_eq!(kit.state().await, before);
        }
        let mut chosen = Vec::new();
        for (delivery, place) in [(pickup, Some(stage.stall)), (shipping, None)] {
            let request = request(delivery, place, if place.is_some() { "stall" } else { "home" });
            let Reserved::Made { checkout, .. } = reserve(&kit.db, &ada, &request).await.unwrap() else {
                panic!("repriced")
            };
            let line = lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap().remove(0);
            let row = reservations::queries::checkout(&kit.db, &ada, checkout).await.unwrap().unwrap();
            assert_eq!(row.quote.lines[0].pickup_place, line.pickup_place_id);
            chosen.push(line.pickup_place_id);
        }
        assert_eq!(chosen, [Some(stage.stall), None]);
    }

    async fn an_added_place_is_known_at_the_next_reservation_and_its_country_decides_the_tax(kit: Kit) {
        let stage = stage(&kit).await;
        let made = stage.open(&[stage.yard]).await;
        let (scope, rate) = (system().as_admin(), 1_000);
        let long_ago = kit.db.now() - chrono::TimeDelta::days(365);
        let (france, class) = ("FR".parse().unwrap(), domain::catalog::TaxClass::Standard);
        set_tax_rate(&kit.db, &scope, france, class, long_ago, rate).await.unwrap();
        let desk = Desk::new(&kit.db, DeskSettings::default());
        let hold = async |place, name: &str| {
            let buyer = stage.market.buyer(name).await;
            let mut request = stage.market.request(&[(&made.items[0], 1)], name);
            request.lines[0].pickup_place = place;
            let Reserved::Made { rows, .. } = desk.reserve(&buyer, request).await.unwrap() else {
                panic!("repriced")
            };
            let line = rows.unwrap().lines.remove(0);
            (line.pickup_place_id, line.tax_minor)
        };
        assert_eq!(hold(None, "ada").await, (Some(stage.yard), 798));
        let abroad = CreatePickupPlace { country: france, ..requests::pickup_place("Lyon") };
        let lyon = create(&kit.db, &stage.potter, abroad).await.unwrap().id;
        drops::update(&kit.db, &stage.potter, made.drop.id, with_places(&[stage.yard, lyon])).await.unwrap();
        assert_eq!(hold(Some(lyon), "bob").await, (Some(lyon), 455));
        assert_eq!(hold(Some(stage.yard), "cleo").await, (Some(stage.yard), 798));
    }

    async fn a_drop_from_before_there_were_places_can_be_picked_up(kit: Kit) {
        let stage = stage(&kit).await;
        let made = stage.open(&[stage.yard]).await;
        let sql = "DELETE FROM drop_pickup_places";
        sea_orm::ConnectionTrait::execute_unprepared(kit.db.schema_connection(), sql).await.unwrap();
        let ada = stage.market.buyer("ada").await;
        let checkout = stage.market.hold(&ada, &[(&made.items[0], 1)], "one").await;
        let lines = lines_of(&kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap();
        assert_eq!((lines[0].delivery, lines[0].pickup_place_id), (DeliveryMethod::Pickup, None));
    }

    async fn a_buyer_sees_the_address_only_while_a_paid_reservation_is_picked_up_there(kit: Kit) {
        let stage = stage(&kit).await;
        let made = stage.open(&[stage.yard, stage.stall]).await;
        let (ada, eve) = (stage.market.buyer("ada").await, stage.market.buyer("eve").await);
        let mut request = stage.market.request(&[(&made.items[0], 1)], "one");
        request.lines[0].pickup_place = Some(stage.yard);
        let Reserved::Made { checkout, rows, .. } = reserve(&kit.db, &ada, &request).await.unwrap() else {
            panic!("repriced")
        };
        let both = [stage.yard, stage.stall];
        let open = async |buyer| open_places(&kit.db, buyer, &both).await.unwrap();
        assert_eq!(open(&ada).await, []);
        paid(&kit, &ada, checkout, "pay").await;
        assert_eq!((open(&ada).await, open(&eve).await), (vec![stage.yard], vec![]));
        let line = rows.unwrap().lines[0].id;
        reservations::cancel(&kit.db, &ada, line, &requests::key("cancel")).await.unwrap();
        assert_eq!(open(&ada).await, []);
    }

    async fn the_public_sees_the_places_of_announced_drops_only(kit: Kit) {
        let stage = stage(&kit).await;
        stage.open(&[stage.yard]).await;
        let draft = stage.market.drop(&stage.potter, "Draft");
        draft.terms(|terms| terms.pickup_places = vec![stage.stall]).draft().await;
        let public = Sight::public(&authorize(&Viewer::Public, Browse).unwrap());
        let member = public.clone().and_own(&stage.potter);
        let all = [stage.yard, stage.stall, unknown()];
        for (sight, expected) in [(public, vec![stage.yard]), (member, vec![stage.yard, stage.stall])] {
            let seen = pickup_places_by_ids(&kit.db, &sight, &all).await.unwrap();
            assert_eq!(seen.into_keys().collect::<BTreeSet<_>>(), expected.into_iter().collect());
        }
    }
}

#[test]
fn a_request_without_a_place_has_the_hash_that_it_always_had() {
    let line = RequestedLine {
        item: domain::platform::ids::DropItemId(Uuid::from_u128(1)),
        units: domain::platform::Quantity::ONE,
        delivery: DeliveryMethod::Pickup,
        pickup_place: None,
    };
    let stored = serde_json::to_value(line).unwrap();
    assert_eq!(stored, serde_json::json!({ "item": Uuid::from_u128(1), "units": 1, "delivery": "PICKUP" }));
}
