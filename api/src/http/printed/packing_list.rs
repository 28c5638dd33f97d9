//! The packing list of a drop: what has to be packed in all, and then order by order.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::NaiveDate;

use super::{PrintedPage, text};

/// What is packed for the buyers of a drop.
#[derive(Debug, Clone)]
pub struct PackingList {
    /// The name of the creator.
    pub creator: String,
    /// The title of the drop.
    pub drop: String,
    /// The day on which the list was made, where the creator is.
    pub made_on: NaiveDate,
    /// The orders, in the order of the list.
    pub orders: Vec<PackedOrder>,
}

/// One buyer's part of a packing list.
#[derive(Debug, Clone)]
pub struct PackedOrder {
    /// The readable number of the order.
    pub number: String,
    /// The name of the recipient.
    pub recipient: String,
    /// How the order reaches the recipient.
    pub delivery: PackedDelivery,
    /// A telephone number.
    pub phone: Option<String>,
    /// What is packed; at least one line.
    pub lines: Vec<PackedLine>,
    /// A remark, such as an open balance.
    pub remark: Option<String>,
}

/// How an order reaches its recipient.
#[derive(Debug, Clone)]
pub enum PackedDelivery {
    /// It is sent to an address, whose lines follow the name.
    Sent(Vec<String>),
    /// It is picked up at the place with this name, if it is known.
    PickedUp(Option<String>),
}

/// Units of one variant that are packed.
#[derive(Debug, Clone)]
pub struct PackedLine {
    /// The number of units.
    pub units: u32,
    /// The SKU of the variant.
    pub sku: String,
    /// The titles of product and variant.
    pub title: String,
}

/// Lays out a packing list on A4.
pub fn packing_list(list: &PackingList) -> PrintedPage {
    let mut body = String::new();
    // Writing to a string cannot fail.
    let _written = write!(
        body,
        "<header><h1>Packing list</h1>\n<p>{} · {} · made on <time>{}</time> · {}</p></header>\n",
        text(&list.drop),
        text(&list.creator),
        list.made_on,
        counted(list.orders.len(), "order"),
    );
    if list.orders.is_empty() {
        body.push_str("<p>There is nothing to pack.</p>\n");
    } else {
        body.push_str(&totals(list));
        list.orders.iter().for_each(|order| body.push_str(&section(order)));
    }
    PrintedPage { title: format!("Packing list: {}", list.drop), style: STYLE.to_owned(), body }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// Returns the table of all units, by SKU.
fn totals(list: &PackingList) -> String {
    let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for line in list.orders.iter().flat_map(|order| &order.lines) {
        let sum = sums.entry((&line.sku, &line.title)).or_default();
        *sum = sum.saturating_add(u64::from(line.units));
    }
    let rows = sums.iter().map(|((sku, title), units)| row(*units, sku, title, ""));
    format!("<section><h2>In all</h2>\n{}</section>\n", table(&rows.collect::<String>()))
}

fn section(order: &PackedOrder) -> String {
    let (how, lines) = match &order.delivery {
        PackedDelivery::Sent(lines) => ("Send to", lines.clone()),
        PackedDelivery::PickedUp(place) => ("Picked up", place.iter().cloned().collect()),
    };
    let phone = order.phone.iter().map(|phone| format!("Phone {phone}"));
    let lines = std::iter::once(order.recipient.clone()).chain(lines).chain(phone);
    let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(|line| text(&line)).collect();
    let rows = order.lines.iter().map(|line| row(line.units.into(), &line.sku, &line.title, "☐"));
    let remark = order.remark.as_deref().map(|remark| format!("<p class=\"remark\">{}</p>\n", text(remark)));
    format!(
        "<section class=\"order\"><h2>Order {}</h2>\n<p><b>{how}</b><br>{}</p>\n{}{}</section>\n",
        text(&order.number),
        lines.join("<br>"),
        table(&rows.collect::<String>()),
        remark.unwrap_or_default(),
    )
}

fn table(rows: &str) -> String {
    format!(
        "<table>\n<thead><tr><th class=\"done\"></th><th class=\"units\">Units</th>\
         <th class=\"sku\">SKU</th>\
         <th>Article</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )
}

fn row(units: u64, sku: &str, title: &str, done: &str) -> String {
    format!(
        "<tr><td class=\"done\">{done}</td><td class=\"units\">{units}</td><td>{}</td><td>{}</td></tr>\n",
        text(sku),
        text(title)
    )
}

/// The style sheet. An order is not divided between two sheets unless it is longer than one.
const STYLE: &str = "\
@page{size:A4;margin:15mm}\
:root{color-scheme:light;font:11pt/1.4 system-ui,sans-serif;color:#000;background:#fff}\
body{max-width:180mm;margin:0 auto;padding:1rem;overflow-wrap:anywhere}\
h1{font-size:18pt;margin:0}\
h2{font-size:12pt;margin:0 0 2mm}\
p{margin:0 0 3mm}\
section{border-top:.3mm solid #000;padding:3mm 0}\
.order{break-inside:avoid}\
.remark{font-weight:bold}\
table{width:100%;border-collapse:collapse}\
th,td{text-align:left;vertical-align:top;padding:1mm 2mm;border-bottom:.1mm solid #999}\
thead{font-size:9pt}\
.done{width:1.5em;padding-left:0}\
.units{width:3em;text-align:right}\
.sku{width:25%;min-width:5em}\
td.units{font-weight:bold}\
@media print{body{max-width:none;padding:0}}";

#[cfg(test)]
mod tests {
    use super::*;

    fn line(units: u32, sku: &str, title: &str) -> PackedLine {
        PackedLine { units, sku: sku.to_owned(), title: title.to_owned() }
    }

    fn order(number: &str, delivery: PackedDelivery, lines: Vec<PackedLine>) -> PackedOrder {
        let recipient = "Ada Example".to_owned();
        PackedOrder { number: number.to_owned(), recipient, delivery, phone: None, lines, remark: None }
    }

    fn list(orders: Vec<PackedOrder>) -> PackingList {
        let (creator, drop) = ("Salt Glaze".to_owned(), "First firing".to_owned());
        PackingList { creator, drop, made_on: NaiveDate::from_ymd_opt(2026, 12, 1).unwrap(), orders }
    }

    #[test]
    fn units_are_added_up_by_sku_and_each_order_has_its_own_lines() {
        let sent = PackedDelivery::Sent(vec!["Kiln Lane 1".to_owned(), "10115 Berlin".to_owned()]);
        let fetched = PackedDelivery::PickedUp(Some("Workshop".to_owned()));
        let mut first = order("1001", sent, vec![line(2, "CUP", "Cup, blue"), line(1, "JUG", "Jug")]);
        (first.phone, first.remark) = (Some("+49 30 1".to_owned()), Some("Balance open".to_owned()));
        let second = order("1002", fetched, vec![line(3, "CUP", "Cup, blue")]);
        let page = packing_list(&list(vec![first, second])).html("n");
        for part in [
            "· 2 orders</p>",
            "<td class=\"units\">5</td><td><bdi>CUP</bdi></td><td><bdi>Cup, blue</bdi></td>",
            "<b>Send to</b><br><bdi>Ada Example</bdi><br><bdi>Kiln Lane 1</bdi><br>\
             <bdi>10115 Berlin</bdi><br><bdi>Phone +49 30 1</bdi>",
            "<td class=\"done\">☐</td><td class=\"units\">2</td><td><bdi>CUP</bdi></td>",
            "<p class=\"remark\"><bdi>Balance open</bdi></p>",
            "<b>Picked up</b><br><bdi>Ada Example</bdi><br><bdi>Workshop</bdi></p>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn an_empty_list_says_so() {
        let page = packing_list(&list(Vec::new())).html("n");
        assert!(page.contains("· 0 orders</p>") && page.contains("There is nothing to pack."), "{page}");
    }

    #[test]
    fn no_text_of_others_becomes_markup() {
        let evil = || "</title></style><script>alert('1')</script>\"&amp;".to_owned();
        let delivery = || PackedDelivery::Sent(vec![evil()]);
        let of = |delivery| PackedOrder {
            number: evil(),
            recipient: evil(),
            delivery,
            phone: Some(evil()),
            lines: vec![line(1, &evil(), &evil())],
            remark: Some(evil()),
        };
        let orders = vec![of(delivery()), of(PackedDelivery::PickedUp(Some(evil())))];
        let page = packing_list(&PackingList { creator: evil(), drop: evil(), ..list(orders) }).html("n");
        let shown =
            "&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;amp;";
        assert_eq!(page.matches(shown).count(), 19, "{page}");
        assert!(!page.contains("<script") && page.matches("</style>").count() == 1, "{page}");
    }
}
