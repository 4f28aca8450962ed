//! The alphabet of the layout: integers, text, options and lists, over a growing buffer and a shrinking slice.
//!
//! Everything is big-endian and of fixed width except lengths, which take one byte below 255 and five from there.
//! [`Reader`] trusts nothing: a length is compared with what is left before a byte is allocated for it.

use smallvec::{Array, SmallVec};

use crate::codec::CodecError;

/// Lengths from here on are written as this byte and four more.
const LONG: u8 = 255;

/// Elements reserved for before the first is read: a claimed count alone must not allocate.
const RESERVE: usize = 64;

/// Where encoded bytes are collected.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer that begins with the version byte.
    pub(crate) fn versioned(version: u8, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.push(version);
        Self { bytes }
    }

    /// A writer that goes on behind what is there.
    pub(crate) fn onto(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Bytes so far.
    pub(crate) fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Writes over what stands at `position`.
    pub(crate) fn patch(&mut self, position: usize, bytes: &[u8]) {
        self.bytes[position..position + bytes.len()].copy_from_slice(bytes);
    }

    /// What was written.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Raw bytes, no length.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The length of a list or text. Nothing in the domain reaches 2^32 elements; what would is cut off by the type.
    pub(crate) fn length(&mut self, length: usize) {
        match u8::try_from(length) {
            Ok(short) if short != LONG => self.bytes.push(short),
            _ => {
                self.bytes.push(LONG);
                self.raw(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
            }
        }
    }

    /// A text.
    pub(crate) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.raw(text.as_bytes());
    }

    /// A value in its own layout.
    pub(crate) fn put<T: Wire + ?Sized>(&mut self, value: &T) {
        value.write(self);
    }
}

/// What is left to decode.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `bytes` whose first byte must be `version`.
    pub(crate) fn versioned(version: u8, bytes: &'a [u8]) -> Result<Self, CodecError> {
        match bytes.split_first() {
            None => Err(CodecError::Truncated),
            Some((found, rest)) if *found == version => Ok(Self { rest }),
            Some((found, _)) => Err(CodecError::Version {
                found: *found,
                known: version,
            }),
        }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub(crate) fn raw(&mut self, count: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CodecError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A length; never more than the bytes that are left, since each element takes at least one.
    pub(crate) fn length(&mut self) -> Result<usize, CodecError> {
        let [first] = self.array::<1>()?;
        let length = if first == LONG {
            usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| CodecError::Truncated)?
        } else {
            usize::from(first)
        };
        if length > self.remaining() {
            Err(CodecError::Truncated)
        } else {
            Ok(length)
        }
    }

    /// A text.
    pub(crate) fn text(&mut self) -> Result<&'a str, CodecError> {
        let length = self.length()?;
        std::str::from_utf8(self.raw(length)?).map_err(|_| CodecError::Value { what: "text" })
    }

    /// A value in its own layout.
    pub(crate) fn take<T: Wire>(&mut self) -> Result<T, CodecError> {
        T::read(self)
    }

    /// Everything must have been read.
    pub(crate) fn end(self) -> Result<(), CodecError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::Trailing { bytes: self.rest.len() })
        }
    }
}

/// A type with a layout of its own. Every value takes at least one byte (see [`Reader::length`]).
pub(crate) trait Wire {
    /// Appends the value.
    fn write(&self, writer: &mut Writer);
    /// Takes a value off the front.
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError>
    where
        Self: Sized;
    /// Passes over a value: an error wherever [`Wire::read`] gives one. What holds texts and lists makes none of them.
    fn skip(reader: &mut Reader<'_>) -> Result<(), CodecError>
    where
        Self: Sized,
    {
        Self::read(reader).map(drop)
    }
}

/// Passes over a field, whose type follows from how it is reached.
pub(crate) fn skip_field<T, F: Wire>(_: impl Fn(&T) -> &F, reader: &mut Reader<'_>) -> Result<(), CodecError> {
    F::skip(reader)
}

macro_rules! wire_integers {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            fn write(&self, writer: &mut Writer) {
                writer.raw(&self.to_be_bytes());
            }
            fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
                Ok(<$type>::from_be_bytes(reader.array()?))
            }
        }
    )* };
}

wire_integers!(u8, u16, u32, u64, u128, i16, i32, i64);

impl Wire for bool {
    fn write(&self, writer: &mut Writer) {
        writer.put(&u8::from(*self));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match reader.take::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CodecError::Value { what: "flag" }),
        }
    }
}

impl Wire for String {
    fn write(&self, writer: &mut Writer) {
        writer.text(self);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        reader.text().map(str::to_owned)
    }
    fn skip(reader: &mut Reader<'_>) -> Result<(), CodecError> {
        reader.text().map(drop)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, writer: &mut Writer) {
        writer.put(&self.is_some());
        if let Some(value) = self {
            writer.put(value);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(if reader.take::<bool>()? {
            Some(reader.take()?)
        } else {
            None
        })
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        writer.length(self.len());
        for element in self {
            writer.put(element);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = reader.length()?;
        let mut elements = Vec::with_capacity(length.min(RESERVE));
        for _ in 0..length {
            elements.push(reader.take()?);
        }
        Ok(elements)
    }
    fn skip(reader: &mut Reader<'_>) -> Result<(), CodecError> {
        (0..reader.length()?).try_for_each(|_| T::skip(reader))
    }
}

/// As a [`Vec`]; a few elements lie in the value itself.
impl<A: Array<Item: Wire>> Wire for SmallVec<A> {
    fn write(&self, writer: &mut Writer) {
        writer.length(self.len());
        for element in self {
            writer.put(element);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let length = reader.length()?;
        let mut elements = Self::with_capacity(length.min(RESERVE));
        for _ in 0..length {
            elements.push(reader.take()?);
        }
        Ok(elements)
    }
    fn skip(reader: &mut Reader<'_>) -> Result<(), CodecError> {
        (0..reader.length()?).try_for_each(|_| A::Item::skip(reader))
    }
}

impl<T: Wire> Wire for Box<T> {
    fn write(&self, writer: &mut Writer) {
        writer.put(self.as_ref());
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Box::new(reader.take()?))
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn write(&self, writer: &mut Writer) {
        writer.put(&self.0);
        writer.put(&self.1);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok((reader.take()?, reader.take()?))
    }
}

impl<T: Wire + Copy + Default, const N: usize> Wire for [T; N] {
    fn write(&self, writer: &mut Writer) {
        for element in self {
            writer.put(element);
        }
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let mut elements = [T::default(); N];
        for element in &mut elements {
            *element = reader.take()?;
        }
        Ok(elements)
    }
}

/// A struct is its fields in the order named here. The compiler sees to it that none is forgotten.
macro_rules! wire_struct {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl $crate::codec::wire::Wire for $type {
            fn write(&self, writer: &mut $crate::codec::wire::Writer) {
                let $type { $($field),* } = self;
                $( writer.put($field); )*
            }
            fn read(reader: &mut $crate::codec::wire::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                Ok($type { $($field: reader.take()?),* })
            }
            fn skip(reader: &mut $crate::codec::wire::Reader<'_>) -> Result<(), $crate::codec::CodecError> {
                $( $crate::codec::wire::skip_field(|value: &$type| &value.$field, reader)?; )*
                Ok(())
            }
        }
    };
}

/// A tuple struct around one value has the layout of that value.
macro_rules! wire_newtype {
    ($($type:ident),* $(,)?) => { $(
        impl $crate::codec::wire::Wire for $type {
            fn write(&self, writer: &mut $crate::codec::wire::Writer) {
                writer.put(&self.0);
            }
            fn read(reader: &mut $crate::codec::wire::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                Ok($type(reader.take()?))
            }
        }
    )* };
}

/// An enum without fields is its number, one byte.
macro_rules! wire_tag {
    ($type:ident { $($variant:ident),* $(,)? }) => {
        impl $crate::codec::wire::Wire for $type {
            fn write(&self, writer: &mut $crate::codec::wire::Writer) {
                writer.put(&(*self as u8));
            }
            fn read(reader: &mut $crate::codec::wire::Reader<'_>) -> Result<Self, $crate::codec::CodecError> {
                let number = reader.take::<u8>()?;
                $( if number == $type::$variant as u8 { return Ok($type::$variant); } )*
                Err($crate::codec::CodecError::Value { what: stringify!($type) })
            }
        }
    };
}

pub(crate) use {wire_newtype, wire_struct, wire_tag};
