//! One binary form of a venue's definition: what the log, the rows and the revision are made of.
//!
//! Little-endian numbers of fixed width; a text is its length in bytes (u32) and UTF-8; a list its count (u32) and its
//! items; an option a byte 0 or 1 and the value. A version byte goes first. The form is canonical: a definition has
//! one encoding, and bytes that decode are the encoding of what they decode to. Decoding checks the form, not the rules
//! ([`super::validate()`] did that before the definition entered the log), and never panics, whatever the bytes.
//!
//! Version 3 has what is said in languages, at the end of each thing. A definition that says none of it is written as
//! version 2, as it always was: its revision stays what slot plans and rows say it is, whichever binary takes it, and a
//! binary that knows no languages reads it.

use super::{Opening, ProductDefinition, ProductKind, Texts, Translation, UnitDefinition, VenueDefinition};
use crate::time::{ServiceDay, Timestamp};

/// Highest first byte of an encoded venue. A binary reads every version up to its own, from [`PLAIN_VERSION`] on.
pub const VENUE_VERSION: u8 = 3;

/// First byte of a venue without descriptions and languages.
pub const PLAIN_VERSION: u8 = 2;

/// Why bytes are not a venue's definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueDecodeError {
    /// Written by a newer binary, or not a venue at all.
    #[error("the venue is encoded in version {found}, this binary reads up to {VENUE_VERSION}; update the binary")]
    Version {
        /// The version byte.
        found: u8,
    },
    /// The bytes end too early.
    #[error("the encoded venue ends at byte {at} in the middle of a {field}")]
    Truncated {
        /// Where the bytes end.
        at: usize,
        /// What was being read.
        field: &'static str,
    },
    /// A byte has a value that the encoder never writes.
    #[error("the encoded venue has no valid {field} before byte {at}")]
    Invalid {
        /// Behind the bytes that are wrong.
        at: usize,
        /// What was being read.
        field: &'static str,
    },
}

/// Appends the canonical encoding of `venue` to `out`.
pub fn encode_venue(venue: &VenueDefinition, out: &mut Vec<u8>) {
    let version = if is_plain(venue) { PLAIN_VERSION } else { VENUE_VERSION };
    out.push(version);
    put_text(&venue.slug, out);
    put_text(&venue.name, out);
    put_text(&venue.city, out);
    put_text(&venue.time_zone, out);
    put_text(&venue.currency, out);
    out.push(venue.currency_digits);
    put_u32(venue.tax_basis_points, out);
    put_u32(venue.building_capacity, out);
    put_list(&venue.opening, out, |opening, out| {
        out.push(opening.days);
        out.extend_from_slice(&opening.from_minute.to_le_bytes());
        out.extend_from_slice(&opening.to_minute.to_le_bytes());
    });
    put_list(&venue.closed, out, |day, out| {
        out.extend_from_slice(&day.0.to_le_bytes())
    });
    put_list(&venue.products, out, |product, out| put_product(product, version, out));
    if version > PLAIN_VERSION {
        put_text(&venue.language, out);
        put_texts(&venue.texts, out);
    }
}

/// Nothing that version 3 is for.
fn is_plain(venue: &VenueDefinition) -> bool {
    let is_plain_unit = |unit: &UnitDefinition| unit.name.is_none() && unit.texts.is_empty();
    venue.language.is_empty()
        && venue.texts.is_empty()
        && venue
            .products
            .iter()
            .all(|product| product.texts.is_empty() && product.units.iter().all(is_plain_unit))
}

/// Reads the venue that `bytes` begin with, and how many bytes it took; what follows is the caller's.
///
/// # Errors
/// [`CatalogueDecodeError`] where the bytes are not what [`encode_venue`] writes.
pub fn decode_venue(bytes: &[u8]) -> Result<(VenueDefinition, usize), CatalogueDecodeError> {
    let mut reader = Reader { bytes, at: 0 };
    let found = reader.u8("version")?;
    if !(PLAIN_VERSION..=VENUE_VERSION).contains(&found) {
        return Err(CatalogueDecodeError::Version { found });
    }
    let has_texts = found > PLAIN_VERSION;
    let mut venue = VenueDefinition {
        slug: reader.text()?,
        name: reader.text()?,
        language: String::new(),
        texts: Texts::default(),
        city: reader.text()?,
        time_zone: reader.text()?,
        currency: reader.text()?,
        currency_digits: reader.u8("number")?,
        tax_basis_points: reader.u32("number")?,
        building_capacity: reader.u32("number")?,
        opening: reader.list(read_opening)?,
        closed: reader.list(|reader| Ok(ServiceDay(i32::from_le_bytes(reader.array("day")?))))?,
        products: reader.list(|reader| read_product(reader, has_texts))?,
    };
    if has_texts {
        venue.language = reader.text()?;
        venue.texts = read_texts(&mut reader)?;
        if is_plain(&venue) {
            return Err(reader.invalid("version"));
        }
    }
    Ok((venue, reader.at))
}

fn put_product(product: &ProductDefinition, version: u8, out: &mut Vec<u8>) {
    put_text(&product.slug, out);
    put_text(&product.name, out);
    out.push(product.kind as u8);
    put_u32(product.slot_minutes, out);
    put_u32(product.visit_minutes, out);
    put_u32(product.capacity, out);
    put_option(product.last_entry_before_close_minutes.as_ref(), out, |minutes, out| {
        put_u32(*minutes, out)
    });
    put_option(product.on_sale.as_ref(), out, |instant, out| {
        out.extend_from_slice(&instant.0.to_le_bytes())
    });
    put_u32(product.hold_minutes, out);
    put_u32(product.min_units_per_booking, out);
    put_u32(product.max_units_per_booking, out);
    put_option(product.min_to_run.as_ref(), out, |count, out| put_u32(*count, out));
    put_u32(product.cutoff_minutes, out);
    put_option(product.guides.as_ref(), out, |count, out| put_u32(*count, out));
    out.push(u8::from(product.re_entry));
    put_u32(product.early_entry_minutes, out);
    put_list(&product.units, out, |unit, out| put_unit(unit, version, out));
    if version > PLAIN_VERSION {
        put_texts(&product.texts, out);
    }
}

fn put_unit(unit: &UnitDefinition, version: u8, out: &mut Vec<u8>) {
    put_text(&unit.slug, out);
    put_text(&unit.kind, out);
    out.extend_from_slice(&unit.price.to_le_bytes());
    put_u32(unit.pax, out);
    put_option(unit.min_age.as_ref(), out, |age, out| put_u32(*age, out));
    put_option(unit.max_age.as_ref(), out, |age, out| put_u32(*age, out));
    put_list(&unit.accompanied_by, out, |slug, out| put_text(slug, out));
    put_option(unit.max_quantity.as_ref(), out, |count, out| put_u32(*count, out));
    put_option(unit.requires.as_ref(), out, |what, out| put_text(what, out));
    out.push(u8::from(unit.id_required));
    if version > PLAIN_VERSION {
        put_option(unit.name.as_ref(), out, |name, out| put_text(name, out));
        put_texts(&unit.texts, out);
    }
}

fn put_texts(texts: &Texts, out: &mut Vec<u8>) {
    put_text(&texts.description, out);
    put_list(&texts.translations, out, |translation, out| {
        put_text(&translation.language, out);
        put_option(translation.name.as_ref(), out, |name, out| put_text(name, out));
        put_option(translation.description.as_ref(), out, |text, out| put_text(text, out));
    });
}

fn put_u32(number: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Lengths are u32: no text or list of 4 GiB gets past the bounds of [`super::bounds`].
fn put_text(text: &str, out: &mut Vec<u8>) {
    put_u32(text.len() as u32, out);
    out.extend_from_slice(text.as_bytes());
}

fn put_list<T>(items: &[T], out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    put_u32(items.len() as u32, out);
    for item in items {
        put(item, out);
    }
}

fn put_option<T>(value: Option<&T>, out: &mut Vec<u8>, put: impl Fn(&T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(value, out);
    }
}

fn read_opening(reader: &mut Reader<'_>) -> Result<Opening, CatalogueDecodeError> {
    Ok(Opening {
        days: reader.u8("opening")?,
        from_minute: u16::from_le_bytes(reader.array("opening")?),
        to_minute: u16::from_le_bytes(reader.array("opening")?),
    })
}

fn read_product(reader: &mut Reader<'_>, has_texts: bool) -> Result<ProductDefinition, CatalogueDecodeError> {
    let mut product = ProductDefinition {
        slug: reader.text()?,
        name: reader.text()?,
        texts: Texts::default(),
        kind: {
            let number = reader.u8("kind")?;
            ProductKind::from_number(number).ok_or_else(|| reader.invalid("kind"))?
        },
        slot_minutes: reader.u32("number")?,
        visit_minutes: reader.u32("number")?,
        capacity: reader.u32("number")?,
        last_entry_before_close_minutes: reader.option_u32()?,
        on_sale: reader.option(|reader| Ok(Timestamp(i64::from_le_bytes(reader.array("time")?))))?,
        hold_minutes: reader.u32("number")?,
        min_units_per_booking: reader.u32("number")?,
        max_units_per_booking: reader.u32("number")?,
        min_to_run: reader.option_u32()?,
        cutoff_minutes: reader.u32("number")?,
        guides: reader.option_u32()?,
        re_entry: reader.flag()?,
        early_entry_minutes: reader.u32("number")?,
        units: reader.list(|reader| read_unit(reader, has_texts))?,
    };
    if has_texts {
        product.texts = read_texts(reader)?;
    }
    Ok(product)
}

fn read_unit(reader: &mut Reader<'_>, has_texts: bool) -> Result<UnitDefinition, CatalogueDecodeError> {
    let mut unit = UnitDefinition {
        slug: reader.text()?,
        name: None,
        texts: Texts::default(),
        kind: reader.text()?,
        price: i64::from_le_bytes(reader.array("price")?),
        pax: reader.u32("number")?,
        min_age: reader.option_u32()?,
        max_age: reader.option_u32()?,
        accompanied_by: reader.list(Reader::text)?,
        max_quantity: reader.option_u32()?,
        requires: reader.option(Reader::text)?,
        id_required: reader.flag()?,
    };
    if has_texts {
        unit.name = reader.option(Reader::text)?;
        unit.texts = read_texts(reader)?;
    }
    Ok(unit)
}

fn read_texts(reader: &mut Reader<'_>) -> Result<Texts, CatalogueDecodeError> {
    Ok(Texts {
        description: reader.text()?,
        translations: reader.list(|reader| {
            Ok(Translation {
                language: reader.text()?,
                name: reader.option(Reader::text)?,
                description: reader.option(Reader::text)?,
            })
        })?,
    })
}

/// A place in the bytes. Every read either moves it or fails.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize, field: &'static str) -> Result<&[u8], CatalogueDecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or(CatalogueDecodeError::Truncated {
            at: self.bytes.len(),
            field,
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], CatalogueDecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, field)?);
        Ok(array)
    }

    fn invalid(&self, field: &'static str) -> CatalogueDecodeError {
        CatalogueDecodeError::Invalid { at: self.at, field }
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, CatalogueDecodeError> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, CatalogueDecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    fn flag(&mut self) -> Result<bool, CatalogueDecodeError> {
        match self.u8("flag")? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.invalid("flag")),
        }
    }

    fn text(&mut self) -> Result<String, CatalogueDecodeError> {
        let length = self.u32("text")? as usize;
        let text = str::from_utf8(self.take(length, "text")?).map(str::to_owned);
        text.map_err(|_| self.invalid("text"))
    }

    /// Grows as items are read: a count that the bytes cannot hold must not reserve memory for it.
    fn list<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, CatalogueDecodeError>,
    ) -> Result<Vec<T>, CatalogueDecodeError> {
        let count = self.u32("list")?;
        (0..count).map(|_| read(self)).collect()
    }

    fn option<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, CatalogueDecodeError>,
    ) -> Result<Option<T>, CatalogueDecodeError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn option_u32(&mut self) -> Result<Option<u32>, CatalogueDecodeError> {
        self.option(|reader| reader.u32("number"))
    }
}

#[cfg(test)]
#[path = "encoding_tests.rs"]
mod tests;
