//! The page's files, in the binary.

/// A file of the page.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Where it is had.
    pub path: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its bytes.
    pub body: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! asset {
    ($path:literal, $media:expr, $file:literal) => {
        Asset {
            path: $path,
            media: $media,
            body: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/", $file)),
        }
    };
}

/// All of them; the first is the page.
pub const ASSETS: &[Asset] = &[
    asset!("/", HTML, "page/index.html"),
    asset!("/overview/page.css", CSS, "page/page.css"),
    asset!("/overview/page.js", SCRIPT, "page/page.js"),
    asset!("/overview/charts.js", SCRIPT, "page/charts.js"),
    asset!("/overview/tables.js", SCRIPT, "page/tables.js"),
    asset!("/overview/icon.svg", "image/svg+xml", "page/icon.svg"),
    asset!("/overview/uPlot.js", SCRIPT, "vendor/uPlot.iife.min.js"),
    asset!("/overview/uPlot.css", CSS, "vendor/uPlot.min.css"),
];

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use sha2::{Digest, Sha256};

    use super::*;

    fn text(asset: &Asset) -> &'static str {
        std::str::from_utf8(asset.body).expect("text")
    }

    #[test]
    fn what_others_made_is_as_they_made_it() {
        let sums = include_str!("../vendor/README.md");
        for name in ["uPlot.js", "uPlot.css"] {
            let asset = ASSETS.iter().find(|asset| asset.path.ends_with(name)).expect(name);
            let mut sum = String::new();
            for byte in Sha256::digest(asset.body) {
                let _ = write!(sum, "{byte:02x}");
            }
            assert!(
                sums.contains(&sum),
                "{name} is {sum}, which vendor/README.md does not say"
            );
        }
    }

    /// Whatever a file of the page could be made to fetch is named in it, and all that is named is here.
    #[test]
    fn the_page_asks_nobody_but_its_own_port() {
        for asset in ASSETS {
            let ours = !asset.path.contains("uPlot");
            for (number, line) in text(asset).lines().enumerate() {
                // The one address in uPlot is that of its home, in its first comment; an SVG says what language it is in.
                let known = ["https://github.com/leeoniya/uPlot", "http://www.w3.org/2000/svg"];
                let rest = known
                    .iter()
                    .fold(line.to_owned(), |rest, known| rest.replace(known, ""));
                for outside in ["http:", "https:", "ws:", "wss:", "\"//", "'//", "`//", "url("] {
                    // The page tells addresses of nodes from other text by their beginning.
                    if rest.contains("startsWith(\"http://\")") {
                        continue;
                    }
                    assert!(!rest.contains(outside), "{}:{}: {outside}", asset.path, number + 1);
                }
                for risky in [
                    "innerHTML",
                    "outerHTML",
                    "insertAdjacentHTML",
                    "document.write",
                    "eval(",
                ] {
                    assert!(
                        !(ours && rest.contains(risky)),
                        "{}:{}: {risky}",
                        asset.path,
                        number + 1
                    );
                }
            }
        }
    }

    #[test]
    fn whatever_the_page_names_is_served() {
        let here = |path: &str| ASSETS.iter().any(|asset| asset.path == path);
        let mut named = 0;
        for asset in ASSETS {
            for quote in ["src=\"", "href=\"", "from \"./"] {
                for rest in text(asset).split(quote).skip(1) {
                    let path = rest.split('"').next().unwrap_or_default();
                    if path.starts_with('#') {
                        continue;
                    }
                    let path = if path.starts_with('/') {
                        path.to_owned()
                    } else {
                        format!("/overview/{path}")
                    };
                    assert!(here(&path), "{} names {path}", asset.path);
                    named += 1;
                }
            }
        }
        assert!(named >= 6, "only {named} names were found");
        let path = crate::state::EVENTS_PATH;
        assert!(ASSETS.iter().any(|asset| text(asset).contains(path)), "{path}");
    }
}
