//! Tests of drops: publishing, changes after publication, withdrawal and cancellation.

use chrono::TimeDelta;
use domain::{
    drops::{
        CreateDropRefusal, NewItem, PublishRefusal, UpdateDrop, UpdateDropRefusal, add_item, create,
        items::ItemRefusal,
        publish, remove_item,
        state::DropPhase,
        terms::{Balance, Deposit},
        update,
    },
    payments::{
        apply,
        gateway::{Intent, IntentState},
        of_checkouts,
    },
    platform::{
        OpError, Units,
        ids::{DropId, DropItemId, EntityId},
    },
    reservations::{
        CancelDropRefusal, ItemChange, WithdrawDropRefusal, cancel_drop, change_item, pay, queries,
        state::ReservationState as State, withdraw_drop,
    },
};
use sea_orm::ConnectionTrait;
use testkit::{Kit, on_both, requests};
use uuid::Uuid;

use crate::reservations::market::{
    buyer, check_books, codes, creator, draft_of, draft_with_place, market, number, system, tiers, variant,
};

on_both! {
    async fn publishing_reports_every_problem_at_once(kit: Kit) {
        let market = market(&kit).await;
        let mut bad = draft_of(&kit, "Bad");
        bad.deposit = Deposit::Fixed(9_000);
        bad.hold_secs = 10.into();
        bad.lead_time_days = 1_000.into();
        bad.balance = Balance::OnDate(kit.db.now().date_naive() - TimeDelta::days(1));
        (bad.pickup, bad.shipping) = (false, false);
        bad.opens_at = kit.db.now() - TimeDelta::hours(30);
        bad.closes_at = kit.db.now();
        let drop = create(&kit.db, &market.creator, bad).await.unwrap();
        let new = NewItem {
            variant: market.cup.variant_id,
            units: 2,
            per_buyer_max: 3,
            tiers: tiers(&[(4_000, Some(2)), (5_000, None)]),
        };
        add_item(&kit.db, &market.creator, drop.id, new).await.unwrap();
        let before = kit.state().await;
        use PublishRefusal as R;
        let expected = [
            R::WindowInvalid,
            R::HoldOutOfRange,
            R::BalanceTooEarly,
            R::LeadTimeTooLong,
            R::NoDelivery,
            R::LimitAboveUnits,
            R::TierBeyondUnits,
            R::DepositInvalid,
        ];
        assert_eq!(codes(publish(&kit.db, &market.creator, drop.id).await), expected);
        assert_eq!(kit.state().await, before);
        let empty = draft_with_place(&kit, &market.creator, "Empty").await;
        let empty = create(&kit.db, &market.creator, empty).await.unwrap();
        assert_eq!(codes(publish(&kit.db, &market.creator, empty.id).await), [R::NoItems]);
        assert_eq!(codes(publish(&kit.db, &market.creator, market.drop.id).await), [R::NotDraft]);
    }

    async fn an_invalid_stored_number_is_reported_with_its_column_and_row(kit: Kit) {
        let market = market(&kit).await;
        for (column, number) in
            [("hold_secs", -600), ("lead_time_days", -1), ("minimum_units", -1), ("deposit_value", -1)]
        {
            let drop =
                create(&kit.db, &market.creator, draft_of(&kit, &format!("Bad {column}"))).await.unwrap();
            let sql = format!("UPDATE drops SET {column} = {number} WHERE slug = '{}'", drop.slug);
            kit.db.schema_connection().execute_unprepared(&sql).await.unwrap();
            let before = kit.state().await;
            let Err(OpError::Inconsistent(told)) = publish(&kit.db, &market.creator, drop.id).await else {
                panic!("{column} was accepted");
            };
            let told = told.to_string();
            let names_row = told.contains(&drop.id.uuid().to_string()) || told.contains(&drop.id.public());
            assert!(told.contains(column) && told.contains(&number.to_string()) && names_row, "{told}");
            assert_eq!(kit.state().await, before);
        }
    }

    async fn another_creators_drop_reads_like_an_unknown_one(kit: Kit) {
        let market = market(&kit).await;
        let other = creator(&kit, "Blue Loom").await;
        let before = kit.state().await;
        let unknown = DropId(Uuid::from_u128(1));
        let (foreign, item) = (market.drop.id, market.cup.id);
        assert_eq!(
            codes(publish(&kit.db, &other, foreign).await),
            codes(publish(&kit.db, &other, unknown).await)
        );
        assert_eq!(codes(withdraw_drop(&kit.db, &other, foreign).await), [WithdrawDropRefusal::NotFound]);
        assert_eq!(codes(cancel_drop(&kit.db, &other, foreign).await), [CancelDropRefusal::NotFound]);
        assert_eq!(
            codes(update(&kit.db, &other, foreign, UpdateDrop::default()).await),
            [UpdateDropRefusal::NotFound]
        );
        assert_eq!(
            codes(change_item(&kit.db, &other, item, ItemChange::default()).await),
            [ItemRefusal::NotFound]
        );
        assert_eq!(codes(remove_item(&kit.db, &other, item).await), [ItemRefusal::NotFound]);
        assert_eq!(
            codes(remove_item(&kit.db, &other, DropItemId(Uuid::from_u128(1))).await),
            [ItemRefusal::NotFound]
        );
        assert_eq!(kit.state().await, before);
    }

    async fn after_publication_only_changes_that_keep_its_promises_are_allowed(kit: Kit) {
        let market = market(&kit).await;
        let (creator, drop) = (&market.creator, &market.drop);
        let ada = buyer(&kit, "ada").await;
        let longer =
            UpdateDrop { closes_at: Some(drop.closes_at + TimeDelta::hours(1)), ..UpdateDrop::default() };
        let longer = update(&kit.db, creator, drop.id, longer).await.unwrap();
        assert_eq!(longer.phase(kit.db.now()), DropPhase::Open);
        let with_deposit = |deposit| UpdateDrop { deposit: Some(deposit), ..UpdateDrop::default() };
        let invalid = [Deposit::Percent(0), Deposit::Percent(10_001), Deposit::Fixed(0), Deposit::Fixed(-1)];
        let invalid = invalid.map(|deposit| (with_deposit(deposit), UpdateDropRefusal::DepositInvalid));
        let day_before = (drop.closes_at - TimeDelta::days(1)).date_naive();
        let too_early = UpdateDrop { balance: Some(Balance::OnDate(day_before)), ..UpdateDrop::default() };
        let too_few = UpdateDrop { minimum_units: Some(Some(Units::ZERO)), ..UpdateDrop::default() };
        let a_moment_too_long = drop.opens_at + TimeDelta::days(31) + TimeDelta::seconds(1);
        let too_long = UpdateDrop { closes_at: Some(a_moment_too_long), ..UpdateDrop::default() };
        let before = kit.state().await;
        for (change, expected) in invalid.into_iter().chain([
            (too_early, UpdateDropRefusal::BalanceTooEarly),
            (too_few, UpdateDropRefusal::MinimumOutOfRange),
            (too_long, UpdateDropRefusal::WindowInvalid),
        ]) {
            let codes = codes(update(&kit.db, creator, drop.id, change).await);
            assert!(codes.contains(&expected), "{codes:?}");
        }
        assert_eq!(kit.state().await, before);
        let deposit = with_deposit(Deposit::Percent(5_000));
        update(&kit.db, creator, drop.id, deposit.clone()).await.unwrap();
        market.held(&kit.db, &ada, &[(&market.cup, 3)], "one").await;
        let before = kit.state().await;
        use UpdateDropRefusal as R;
        for (change, expected) in [
            (
                UpdateDrop { closes_at: Some(drop.closes_at), ..UpdateDrop::default() },
                vec![R::WindowShortened],
            ),
            (
                UpdateDrop { opens_at: Some(drop.opens_at + TimeDelta::hours(1)), ..UpdateDrop::default() },
                vec![R::WindowShortened],
            ),
            (
                UpdateDrop { deposit: Some(Deposit::Percent(1_000)), ..UpdateDrop::default() },
                vec![R::DepositFrozen],
            ),
            (
                UpdateDrop {
                    hold_secs: Some(900.into()),
                    lead_time_days: Some(1.into()),
                    pickup: Some(false),
                    shipping: Some(false),
                    ..UpdateDrop::default()
                },
                vec![R::Frozen, R::Frozen, R::Frozen, R::Frozen],
            ),
            (UpdateDrop { version: Some(1), ..UpdateDrop::default() }, vec![R::Conflict]),
            (
                UpdateDrop { closes_at: Some(drop.opens_at), ..UpdateDrop::default() },
                vec![R::WindowInvalid, R::WindowShortened],
            ),
        ] {
            assert_eq!(codes(update(&kit.db, creator, drop.id, change).await), expected);
        }
        let units = |units| ItemChange { units: Some(units), ..ItemChange::default() };
        assert_eq!(
            codes(change_item(&kit.db, creator, market.cup.id, units(2)).await),
            [ItemRefusal::BelowReserved]
        );
        let limit = ItemChange { per_buyer_max: Some(9), ..ItemChange::default() };
        assert_eq!(codes(change_item(&kit.db, creator, market.cup.id, limit).await), [ItemRefusal::Frozen]);
        assert_eq!(codes(remove_item(&kit.db, creator, market.cup.id).await), [ItemRefusal::Frozen]);
        assert_eq!(codes(withdraw_drop(&kit.db, creator, drop.id).await), [WithdrawDropRefusal::Reserved]);
        assert_eq!(kit.state().await, before);
        assert_eq!(change_item(&kit.db, creator, market.cup.id, units(3)).await.unwrap().units.get(), 3);
        let dearer = ItemChange { tiers: Some(tiers(&[(9_000, None)])), ..ItemChange::default() };
        change_item(&kit.db, creator, market.cup.id, dearer).await.unwrap();
        check_books(&kit.db).await;
    }

    async fn an_announced_run_keeps_at_least_its_minimum_units(kit: Kit) {
        let market = market(&kit).await;
        let creator = &market.creator;
        let mut run = draft_with_place(&kit, creator, "Second firing").await;
        run.minimum_units = Some(10.into());
        let drop = create(&kit.db, creator, run).await.unwrap();
        let new = |variant| NewItem { variant, units: 8, per_buyer_max: 1, tiers: tiers(&[(5_000, None)]) };
        let cups = add_item(&kit.db, creator, drop.id, new(market.cup.variant_id)).await.unwrap();
        let bowls = add_item(&kit.db, creator, drop.id, new(market.bowl.variant_id)).await.unwrap();
        let units = |units| ItemChange { units: Some(units), ..ItemChange::default() };
        // A draft is checked as a whole when it is published.
        change_item(&kit.db, creator, bowls.id, units(1)).await.unwrap();
        assert_eq!(codes(publish(&kit.db, creator, drop.id).await), [PublishRefusal::MinimumOutOfRange]);
        change_item(&kit.db, creator, bowls.id, units(3)).await.unwrap();
        publish(&kit.db, creator, drop.id).await.unwrap();
        assert_eq!(
            codes(change_item(&kit.db, creator, bowls.id, units(1)).await),
            [ItemRefusal::BelowMinimumRun]
        );
        change_item(&kit.db, creator, bowls.id, units(2)).await.unwrap();
        assert_eq!(
            codes(change_item(&kit.db, creator, cups.id, units(7)).await),
            [ItemRefusal::BelowMinimumRun]
        );
        let lower = UpdateDrop { minimum_units: Some(Some(9.into())), ..UpdateDrop::default() };
        update(&kit.db, creator, drop.id, lower).await.unwrap();
        assert_eq!(change_item(&kit.db, creator, cups.id, units(7)).await.unwrap().units.get(), 7);
    }

    async fn items_are_checked_and_belong_to_their_creator(kit: Kit) {
        let market = market(&kit).await;
        let other = creator(&kit, "Blue Loom").await;
        let drop = create(&kit.db, &market.creator, draft_of(&kit, "Draft")).await.unwrap();
        let foreign = variant(&kit, &other, "THEIRS").await;
        let new = |variant, units, limit, prices: &[(i64, Option<u32>)]| NewItem {
            variant,
            units,
            per_buyer_max: limit,
            tiers: tiers(prices),
        };
        let cup = market.cup.variant_id;
        add_item(&kit.db, &market.creator, drop.id, new(market.bowl.variant_id, 1, 1, &[(1, None)]))
            .await
            .unwrap();
        let before = kit.state().await;
        use ItemRefusal as R;
        for (item, expected) in [
            (new(foreign, 1, 1, &[(1, None)]), vec![R::VariantNotFound]),
            (new(market.bowl.variant_id, 1, 1, &[(1, None)]), vec![R::Duplicate]),
            (new(cup, 0, 0, &[]), vec![R::UnitsOutOfRange, R::LimitOutOfRange, R::TierCount]),
            (new(cup, 1, 1, &[(1, Some(1))]), vec![R::LastTierBounded]),
            (new(cup, 1, 1, &[(1, None), (2, None)]), vec![R::TierUnbounded]),
            (new(cup, 9, 1, &[(1, Some(2)), (2, Some(2)), (3, None)]), vec![R::TiersNotGrowing]),
            (new(cup, 1, 1, &[(0, None)]), vec![R::PriceOutOfRange]),
        ] {
            assert_eq!(codes(add_item(&kit.db, &market.creator, drop.id, item).await), expected);
        }
        let late = add_item(&kit.db, &market.creator, market.drop.id, new(cup, 1, 1, &[(1, None)])).await;
        assert_eq!(codes(late), [R::Frozen]);
        assert_eq!(kit.state().await, before);
    }

    async fn slugs_are_unique_per_creator_and_old_ones_keep_working(kit: Kit) {
        let market = market(&kit).await;
        let change = UpdateDrop { slug: Some("second-name".parse().unwrap()), ..UpdateDrop::default() };
        update(&kit.db, &market.creator, market.drop.id, change).await.unwrap();
        let sight = domain::catalog::Sight::of_viewer(&domain::platform::access::Viewer::Public).unwrap();
        for slug in ["first-firing", "second-name"] {
            let found = domain::drops::queries::by_slug(&kit.db, &sight, market.creator.creator(), slug)
                .await
                .unwrap();
            assert_eq!(found.map(|drop| drop.slug).as_deref(), Some("second-name"));
        }
        let again = create(&kit.db, &market.creator, draft_of(&kit, "First firing")).await;
        assert_eq!(codes(again), [CreateDropRefusal::SlugTaken]);
        create(&kit.db, &creator(&kit, "Blue Loom").await, draft_of(&kit, "First firing")).await.unwrap();
    }

    async fn a_cancelled_drop_ends_holds_and_refunds_deposits(kit: Kit) {
        let market = market(&kit).await;
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let paid = market.held(&kit.db, &ada, &[(&market.cup, 1)], "paid").await;
        pay(&kit.db, &ada, &requests::pay(paid, "pay")).await.unwrap();
        let payment = of_checkouts(&kit.db, &[paid]).await.unwrap().remove(&paid).unwrap();
        let amount = payment.amount();
        let intent = Intent {
            id: "pi_1".to_owned(),
            payment: payment.id,
            state: IntentState::Succeeded,
            amount,
            captured: amount,
            action_url: None,
            decline_code: None,
            fingerprint: None,
        };
        apply(&kit.db, &system(), &domain::registry::payables(), requests::gateway().as_str(), &intent, None)
            .await
            .unwrap();
        let held = market.held(&kit.db, &bob, &[(&market.cup, 1)], "held").await;
        cancel_drop(&kit.db, &market.creator, market.drop.id).await.unwrap();
        let lines = queries::lines_of(&kit.db, &[paid, held]).await.unwrap();
        assert_eq!(lines[&paid][0].state, State::Refunded);
        assert_eq!(lines[&held][0].state, State::Cancelled);
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM refunds WHERE reason = 'DROP_CANCELLED'").await, 1);
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM timers").await, 0);
        assert_eq!(
            codes(cancel_drop(&kit.db, &market.creator, market.drop.id).await),
            [CancelDropRefusal::AlreadyCancelled]
        );
        check_books(&kit.db).await;
    }

    async fn a_cancelled_drop_releases_an_unpaid_checkout_whole_with_the_lines_of_other_creators(kit: Kit) {
        let market = market(&kit).await;
        let other = creator(&kit, "Blue Loom").await;
        let terms = draft_with_place(&kit, &other, "Warp").await;
        let theirs = create(&kit.db, &other, terms).await.unwrap();
        let new = NewItem {
            variant: variant(&kit, &other, "RUG").await,
            units: 1,
            per_buyer_max: 1,
            tiers: tiers(&[(1_000, None)]),
        };
        let rug = add_item(&kit.db, &other, theirs.id, new).await.unwrap();
        publish(&kit.db, &other, theirs.id).await.unwrap();
        let (ada, bob) = (buyer(&kit, "ada").await, buyer(&kit, "bob").await);
        let both = market.held(&kit.db, &ada, &[(&market.cup, 1), (&rug, 1)], "both").await;
        let gates =
            "SELECT COUNT(DISTINCT version) FROM outbox WHERE kind = 'stock_changed' AND aggregate = ";
        let gates = format!("{gates}'{}/stock'", theirs.id.public());
        let before = number(&kit.db, &gates).await;
        cancel_drop(&kit.db, &market.creator, market.drop.id).await.unwrap();
        // The gate of the other drop was taken too. The need for it is known only after reading under the
        // first gate.
        assert_eq!(number(&kit.db, &gates).await, before + 1);
        let lines = queries::lines_of(&kit.db, &[both]).await.unwrap();
        assert_eq!(
            lines[&both].iter().map(|line| line.state).collect::<Vec<_>>(),
            [State::Cancelled, State::Cancelled]
        );
        assert_eq!(number(&kit.db, "SELECT COUNT(*) FROM timers").await, 0);
        // The other creator's drop stays open, and its unit is free again.
        market.held(&kit.db, &bob, &[(&rug, 1)], "again").await;
        check_books(&kit.db).await;
    }
}
