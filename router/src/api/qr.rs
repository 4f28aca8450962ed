//! QR codes (ISO/IEC 18004) as pictures: error correction M, a quiet zone of four modules, nothing but black and white.

use qrcode::types::QrError;
use qrcode::{Color, EcLevel, QrCode};

/// Modules of white around the code, as the standard asks for.
const QUIET_ZONE: usize = 4;

/// Pixels of a module in a PNG: a ticket's code is some 400 wide and is read off a telephone's screen.
const PIXELS: usize = 8;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum PictureError {
    /// More text than a code holds.
    #[error("the text makes no QR code: {0}")]
    Code(#[from] QrError),
    /// The PNG cannot be written.
    #[error("the picture cannot be written: {0}")]
    Png(#[from] png::EncodingError),
}

/// The modules of a text's code.
struct Modules {
    code: QrCode,
}

impl Modules {
    fn of(text: &str) -> Result<Self, QrError> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M)?;
        Ok(Self { code })
    }

    /// Modules along a side, the quiet zone included.
    fn side(&self) -> usize {
        self.code.width() + 2 * QUIET_ZONE
    }

    fn is_dark(&self, x: usize, y: usize) -> bool {
        let within = QUIET_ZONE..QUIET_ZONE + self.code.width();
        within.contains(&x) && within.contains(&y) && self.code[(x - QUIET_ZONE, y - QUIET_ZONE)] == Color::Dark
    }
}

/// The code of `text` as SVG, a unit a module.
pub(super) fn svg(text: &str) -> Result<String, PictureError> {
    use std::fmt::Write as _;
    let modules = Modules::of(text)?;
    let side = modules.side();
    let mut svg = String::with_capacity(16 * 1024);
    // Writing to a text does not fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path fill=\"#000\" d=\""
    );
    for y in 0..side {
        let mut x = 0;
        while x < side {
            let run = (x..side).take_while(|x| modules.is_dark(*x, y)).count();
            if run > 0 {
                let _ = write!(svg, "M{x} {y}h{run}v1h-{run}z");
            }
            x += run.max(1);
        }
    }
    svg.push_str("\"/></svg>\n");
    Ok(svg)
}

/// The code of `text` as PNG, [`PIXELS`] pixels a module, one bit a pixel.
pub(super) fn png(text: &str) -> Result<Vec<u8>, PictureError> {
    let modules = Modules::of(text)?;
    let side = modules.side();
    let mut rows = Vec::with_capacity(side * PIXELS * side);
    for y in 0..side {
        // A module is eight pixels of one bit: a byte. A bit that is set is white.
        let row: Vec<u8> = (0..side)
            .map(|x| if modules.is_dark(x, y) { 0 } else { u8::MAX })
            .collect();
        (0..PIXELS).for_each(|_| rows.extend_from_slice(&row));
    }
    let mut bytes = Vec::with_capacity(4 * 1024);
    let pixels = (side * PIXELS) as u32;
    let mut encoder = png::Encoder::new(&mut bytes, pixels, pixels);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&rows)?;
    writer.finish()?;
    Ok(bytes)
}
