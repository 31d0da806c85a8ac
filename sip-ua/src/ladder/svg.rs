//! The call flow as a drawing.

use std::fmt::Write as _;

use super::{Arrow, Ladder};

/// The width of a letter of the drawing, which is what a column of the text is wide.
const LETTER: usize = 8;
/// How far apart the arrows are.
const STEP: usize = 28;
/// Where the first arrow is; the headings are above it.
const TOP: usize = 60;
/// The length of an arrow's head.
const HEAD: usize = 8;

impl Ladder {
    /// The call flow as an SVG document, for a browser. Each arrow has its whole message as its title, which is shown
    /// under the pointer; what authenticates in there is shown as well.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let names: Vec<String> = self.parties.iter().map(ToString::to_string).collect();
        let columns: Vec<usize> = self.columns(&names).iter().map(|at| at * LETTER).collect();
        let half = names.last().map_or(0, |name| name.chars().count() * LETTER / 2);
        let loops = self.arrows.iter().filter(|arrow| arrow.from == arrow.to);
        let beside = loops.map(|arrow| (arrow.label.chars().count() + 6) * LETTER).max();
        let width = columns.last().copied().unwrap_or(0) + half.max(beside.unwrap_or(0)) + 16;
        let bottom = TOP + self.arrows.len() * STEP;
        let mut svg = String::new();
        // Writing to a string does not fail.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{}\" font-family=\"monospace\" \
             font-size=\"13\" text-anchor=\"middle\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
            bottom + 16
        );
        for (name, x) in names.iter().zip(&columns) {
            let name = escaped(name);
            let _ = write!(
                svg,
                "<text x=\"{x}\" y=\"24\" font-weight=\"bold\">{name}</text>\n\
                 <path d=\"M{x} 34V{bottom}\" stroke=\"#999\"/>\n"
            );
        }
        for (row, arrow) in self.arrows.iter().enumerate() {
            arrow.draw(&mut svg, &columns, TOP + row * STEP);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Arrow {
    fn draw(&self, svg: &mut String, columns: &[usize], y: usize) {
        let column = |index: usize| columns.get(index).copied().unwrap_or(0);
        let (from, to) = (column(self.from), column(self.to));
        let is_request = !self.message.starts_with(b"SIP/2.0 ");
        let colour = match (self.lost, is_request) {
            (true, _) => "#c00",
            (false, true) => "#036",
            (false, false) => "#060",
        };
        let (label, above) = (escaped(&self.label), y - 5);
        let message = escaped(&String::from_utf8_lossy(&self.message));
        let (seconds, transport) = (self.after.as_secs_f64(), self.transport.as_str());
        let _ = write!(
            svg,
            "<g stroke=\"{colour}\" fill=\"none\"><title>{message}</title>\
             <text x=\"8\" y=\"{y}\" stroke=\"none\" fill=\"#666\" text-anchor=\"start\">{seconds:.6} {transport}</text>"
        );
        let (middle, anchor) = match from == to {
            true => (from + 2 * HEAD, "start"),
            false => (usize::midpoint(from, to), "middle"),
        };
        let tip = if from <= to { to.saturating_sub(HEAD) } else { to + HEAD };
        let (up, down) = (y - HEAD / 2, y + HEAD / 2);
        let _ = match (from == to, self.lost) {
            (true, _) => write!(svg, "<path d=\"M{from} {y}h{HEAD}v{HEAD}h-{HEAD}\"/>"),
            (false, true) => write!(svg, "<path d=\"M{from} {y}H{middle}m-4 -4l8 8m0 -8l-8 8\"/>"),
            (false, false) => {
                write!(svg, "<path d=\"M{from} {y}H{to}M{tip} {up}L{to} {y}L{tip} {down}\"/>")
            }
        };
        let _ = writeln!(
            svg,
            "<text x=\"{middle}\" y=\"{above}\" stroke=\"none\" fill=\"{colour}\" text-anchor=\"{anchor}\">{label}</text></g>"
        );
    }
}

/// Text that stands in XML: without what no XML may hold, whatever came from the network.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' | '\t' => out.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {}
            letter => out.push(letter),
        }
    }
    out
}
