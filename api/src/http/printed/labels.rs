//! Address labels on sheets of A4.

use std::{fmt::Write as _, str::FromStr};

use super::{PrintedPage, text};

/// A label with the address of a recipient.
#[derive(Debug, Clone)]
pub struct AddressLabel {
    /// The lines of the address, with the name first.
    pub lines: Vec<String>,
    /// What tells the label apart, such as the number of the order.
    pub reference: String,
}

/// The labels of a sheet of A4, measured in tenths of a millimetre. The grid is in the middle of the sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelGrid {
    /// The number of labels next to each other.
    pub columns: u8,
    /// The number of labels one below the other.
    pub rows: u8,
    /// The width of a label.
    pub width: u16,
    /// The height of a label.
    pub height: u16,
    /// The gap between two columns. There is none between rows.
    pub gap: u16,
}

impl LabelGrid {
    /// Eight labels of 99.1 mm × 67.7 mm.
    pub const TWO_BY_FOUR: Self = Self { columns: 2, rows: 4, width: 991, height: 677, gap: 25 };
    /// Twenty-four labels of 63.5 mm × 33.9 mm.
    pub const THREE_BY_EIGHT: Self = Self { columns: 3, rows: 8, width: 635, height: 339, gap: 25 };

    fn per_sheet(self) -> usize {
        usize::from(self.columns).saturating_mul(self.rows.into()).max(1)
    }

    /// Returns the largest size of the address, in points, at which these lines fit on a label. Longer texts
    /// get the smallest size.
    fn points(self, lines: &[String]) -> u8 {
        let fits = |points: &u8| {
            // A character is about 0.55 of the size wide, those of East Asia the whole size, and a line 1.2
            // of the size high; a point is 0.3528 mm. The padding takes 3 mm at each side, and the reference
            // a line of 7 points at the bottom.
            let size = f32::from(*points) * 3.528;
            let wide = (f32::from(self.width) - 60.0).max(size) / (0.55 * size);
            let high = (f32::from(self.height) - 90.0) / (1.2 * size);
            let rows = lines.iter().map(|line| (width_of(line) / wide).ceil().max(1.0)).sum::<f32>();
            rows <= high
        };
        SIZES.into_iter().find(fits).unwrap_or(SMALLEST)
    }
}

/// The sizes of addresses, in points.
const SIZES: [u8; 8] = [12, 11, 10, 9, 8, 7, 6, SMALLEST];
const SMALLEST: u8 = 5;

/// Returns the width of a text in characters of average width.
fn width_of(text: &str) -> f32 {
    text.chars().map(|character| if character < '\u{1100}' { 1.0 } else { 1.9 }).sum()
}

/// The error for a text that names no grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a sheet of labels: 2x4 and 3x8 are")]
pub struct UnknownGrid;

impl FromStr for LabelGrid {
    type Err = UnknownGrid;

    fn from_str(name: &str) -> Result<Self, UnknownGrid> {
        match name {
            "2x4" => Ok(Self::TWO_BY_FOUR),
            "3x8" => Ok(Self::THREE_BY_EIGHT),
            _ => Err(UnknownGrid),
        }
    }
}

/// Lays out address labels on sheets of A4, row by row. Print them without scaling. On a narrow screen they
/// stand one below the other.
pub fn address_labels(title: &str, labels: &[AddressLabel], grid: LabelGrid) -> PrintedPage {
    let mut body = String::new();
    if labels.is_empty() {
        body.push_str("<p>There is nothing to send.</p>\n");
    }
    for sheet in labels.chunks(grid.per_sheet()) {
        body.push_str("<div class=\"sheet\">\n");
        for AddressLabel { lines, reference } in sheet {
            let address: Vec<String> =
                lines.iter().filter(|line| !line.is_empty()).map(|line| text(line)).collect();
            // Writing to a string cannot fail.
            let _written = writeln!(
                body,
                "<div class=\"label\"><p class=\"size{}\">{}</p><p class=\"reference\">{}</p></div>",
                grid.points(lines),
                address.join("<br>"),
                text(reference)
            );
        }
        body.push_str("</div>\n");
    }
    PrintedPage { title: title.to_owned(), style: style(grid), body }
}

/// Returns a length in tenths of a millimetre as CSS.
fn mm(tenths: u16) -> String {
    format!("{}.{}mm", tenths / 10, tenths % 10)
}

fn style(grid: LabelGrid) -> String {
    let LabelGrid { columns, rows, width, height, gap } = grid;
    let (width, height, gap) = (mm(width), mm(height), mm(gap));
    let layout = format!(
        ".sheet{{display:grid;box-sizing:border-box;width:210mm;height:297mm;\
         grid-template-columns:repeat({columns},{width});grid-template-rows:repeat({rows},{height});\
         column-gap:{gap};place-content:center;break-after:page}}\
         .sheet:last-child{{break-after:auto}}\
         .label{{height:{height}}}"
    );
    let sizes = SIZES.map(|points| format!(".size{points}{{font-size:{points}pt}}")).concat();
    format!(
        "@page{{size:A4;margin:0}}\
         :root{{color-scheme:light;font:12pt/1.2 system-ui,sans-serif;color:#000;background:#fff}}\
         body{{margin:0}}body>p{{padding:1rem}}\
         .label{{box-sizing:border-box;padding:3mm;overflow:hidden;overflow-wrap:anywhere;\
         display:flex;flex-direction:column;justify-content:space-between}}\
         .label p{{margin:0}}.label .reference{{font-size:7pt;color:#333}}{sizes}\
         @media screen{{.label{{border:1px dashed #999;margin:.5rem}}}}\
         @media screen and (min-width:215mm){{{layout}.sheet{{margin:1rem auto;border:1px solid #999}}\
         .label{{margin:0}}}}\
         @media print{{{layout}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(lines: &[&str], reference: &str) -> AddressLabel {
        AddressLabel {
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
            reference: reference.to_owned(),
        }
    }

    fn ada() -> AddressLabel {
        label(&["Ada Example", "Kiln Lane 1", "", "10115 Berlin", "Germany"], "1001")
    }

    #[test]
    fn a_grid_fits_on_a4() {
        for (name, count) in [("2x4", 8), ("3x8", 24)] {
            let grid: LabelGrid = name.parse().unwrap();
            assert_eq!(grid.per_sheet(), count);
            let (columns, rows) = (u16::from(grid.columns), u16::from(grid.rows));
            assert!(columns * grid.width + (columns - 1) * grid.gap <= 2_100, "{name}");
            assert!(rows * grid.height <= 2_970, "{name}");
        }
        assert_eq!("9x9".parse::<LabelGrid>(), Err(UnknownGrid));
    }

    #[test]
    fn labels_fill_sheets_row_by_row() {
        for (labels, sheets) in [(0, 0), (1, 1), (24, 1), (25, 2), (48, 2), (49, 3)] {
            let page = address_labels("Labels", &vec![ada(); labels], LabelGrid::THREE_BY_EIGHT).html("n");
            assert_eq!(page.matches("<div class=\"sheet\">").count(), sheets);
            assert_eq!(page.matches("<div class=\"label\">").count(), labels);
            assert_eq!(page.contains("There is nothing to send."), labels == 0);
        }
        let page = address_labels("Labels", &[ada()], LabelGrid::TWO_BY_FOUR).html("n");
        let lines = "<p class=\"size12\"><bdi>Ada Example</bdi><br><bdi>Kiln Lane 1</bdi><br>\
            <bdi>10115 Berlin</bdi><br><bdi>Germany</bdi></p><p class=\"reference\"><bdi>1001</bdi></p>";
        assert!(page.contains(lines), "{page}");
    }

    #[test]
    fn a_long_address_is_printed_smaller() {
        let long = |count| "Example ".repeat(count);
        for (lines, two, three) in [
            (vec![long(1), long(2), long(2)], 12, 12),
            (vec![long(4), long(5), long(5), long(4)], 12, 9),
            (vec![long(15), long(20), long(20), long(17)], 9, 5),
            (vec!["東".repeat(120), "京".repeat(160)], 10, 5),
        ] {
            let points = |grid: LabelGrid| grid.points(&lines);
            let seen = (points(LabelGrid::TWO_BY_FOUR), points(LabelGrid::THREE_BY_EIGHT));
            assert_eq!(seen, (two, three), "{lines:?}");
        }
    }

    #[test]
    fn no_text_of_others_becomes_markup() {
        let evil = "</title></style><script>alert('1')</script>\"&amp;";
        let page = address_labels(evil, &[label(&[evil, evil], evil)], LabelGrid::TWO_BY_FOUR).html("n");
        let shown =
            "&lt;/title&gt;&lt;/style&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;amp;";
        assert_eq!(page.matches(shown).count(), 4, "{page}");
        assert!(!page.contains("<script") && page.matches("</style>").count() == 1, "{page}");
    }
}
