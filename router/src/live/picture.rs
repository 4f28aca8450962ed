//! How all slots of a venue stand at a log index: days of slots, each slot with the index at which it last changed. A picture
//! is never changed; the next one shares with it what is the same. So whoever knows the index that he has seen finds what is
//! new to him without anybody having kept it for him.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rotunda_booking::ids::SlotRef;
use rotunda_booking::live::{News, VenueNews};
use rotunda_booking::outcome::SlotView;
use rotunda_booking::time::ServiceDay;

/// Slots that are remembered to have gone. When more have, whoever has not heard of the oldest is told everything anew.
const GONE: usize = 1_024;

/// A slot, and when it last changed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The slot.
    pub view: SlotView,
    /// Log index at which it was first seen to stand like this.
    pub changed: u64,
}

/// The slots of one product on one service day.
#[derive(Debug)]
pub struct Fragment {
    /// In order of start.
    pub slots: Vec<Shown>,
    /// Log index of the last change, of a slot that has gone since, too.
    pub changed: u64,
    /// As they stand in answers, where somebody has rendered them.
    pub rendered: OnceLock<Bytes>,
}

/// A slot that is no more.
#[derive(Clone, Debug)]
pub struct Gone {
    /// Log index at which it was first seen to have gone.
    pub at: u64,
    /// Its service day.
    pub day: ServiceDay,
    /// Its name.
    pub slot: SlotRef,
}

/// Which slots somebody looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Range {
    /// Position of the one product; all where none is given.
    pub product: Option<usize>,
    /// First service day.
    pub from: ServiceDay,
    /// Last service day, included.
    pub to: ServiceDay,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Counts pictures of this venue.
    pub serial: u64,
    /// From this index on it is known what changed when.
    pub base: u64,
    /// The catalogue.
    pub catalogue: Arc<VenueNews>,
    /// Log index at which the catalogue was first seen.
    pub catalogue_changed: u64,
    /// Earlier days are not in it.
    pub first_day: ServiceDay,
    fragments: BTreeMap<(usize, ServiceDay), Arc<Fragment>>,
    gone: Vec<Gone>,
}

impl Picture {
    /// The picture after `news` at `index`, and whether anything in it is new. `None` where the news makes no sense by
    /// itself: the first must tell everything.
    #[must_use]
    pub fn after(before: Option<&Self>, index: u64, news: News) -> Option<(Self, bool)> {
        let Some(venue) = news.venue else {
            let mut picture = before?.clone();
            let changed = picture.replace(index, &news.days, news.slots, false);
            picture.serial += u64::from(changed);
            return Some((picture, changed));
        };
        let catalogue = Arc::new(venue);
        let Some(before) = before else {
            let mut picture = Self {
                serial: 1,
                base: index,
                catalogue,
                catalogue_changed: index,
                first_day: news.first_day,
                fragments: BTreeMap::new(),
                gone: Vec::new(),
            };
            picture.replace(index, &[], news.slots, false);
            return Some((picture, true));
        };
        let same_products = before.catalogue.revision == catalogue.revision;
        let mut picture = before.clone();
        picture.first_day = news.first_day;
        picture.fragments.retain(|(_, day), _| *day >= news.first_day);
        picture.gone.retain(|gone| gone.day >= news.first_day);
        if !same_products {
            picture.catalogue_changed = index;
        }
        let positions = |definition: &VenueNews| -> Vec<String> {
            let products = definition.definition.products.iter();
            products.map(|product| product.slug.clone()).collect()
        };
        if positions(&picture.catalogue) != positions(&catalogue) {
            // Fragments lie by position, so they are begun anew: whoever knows an older one is told everything.
            picture.fragments.clear();
            picture.gone.clear();
            picture.base = index;
        }
        picture.catalogue = catalogue;
        // A day that has no slots any more is not named: all that are known may be one.
        let mut days: Vec<ServiceDay> = picture.fragments.keys().map(|(_, day)| *day).collect();
        days.extend(&news.days);
        days.sort_unstable();
        days.dedup();
        let changed = picture.replace(index, &days, news.slots, !same_products) || !same_products;
        picture.serial += u64::from(changed);
        Some((picture, changed))
    }

    /// Puts slots in the place of those of `days`. True where that changes anything.
    fn replace(&mut self, index: u64, days: &[ServiceDay], slots: Vec<SlotView>, prices_changed: bool) -> bool {
        let position_of: HashMap<String, usize> = self
            .catalogue
            .definition
            .products
            .iter()
            .enumerate()
            .map(|(position, product)| (product.slug.clone(), position))
            .collect();
        let mut fresh: BTreeMap<(usize, ServiceDay), Vec<SlotView>> = BTreeMap::new();
        for day in days {
            for position in 0..position_of.len() {
                if self.fragments.contains_key(&(position, *day)) {
                    fresh.insert((position, *day), Vec::new());
                }
            }
        }
        for slot in slots {
            if let Some(position) = position_of.get(&slot.slot.product) {
                fresh.entry((*position, slot.day)).or_default().push(slot);
            }
        }
        let mut any = false;
        for (place, views) in fresh {
            any |= self.replace_one(index, place, views, prices_changed);
        }
        any
    }

    fn replace_one(
        &mut self,
        index: u64,
        place: (usize, ServiceDay),
        views: Vec<SlotView>,
        prices_changed: bool,
    ) -> bool {
        let before = self.fragments.get(&place).cloned();
        let known: HashMap<&SlotRef, &Shown> = before
            .iter()
            .flat_map(|fragment| &fragment.slots)
            .map(|shown| (&shown.view.slot, shown))
            .collect();
        let mut changed = prices_changed;
        let mut still = 0;
        let slots: Vec<Shown> = views
            .into_iter()
            .map(|view| {
                let old = known.get(&view.slot);
                still += usize::from(old.is_some());
                let same = old.filter(|old| old.view == view && !prices_changed);
                changed |= same.is_none();
                let changed = same.map_or(index, |old| old.changed);
                Shown { view, changed }
            })
            .collect();
        if still < known.len() {
            changed = true;
            let here: std::collections::HashSet<&SlotRef> = slots.iter().map(|shown| &shown.view.slot).collect();
            for slot in known.keys().filter(|slot| !here.contains(*slot)) {
                self.gone.push(Gone {
                    at: index,
                    day: place.1,
                    slot: (*slot).clone(),
                });
            }
            if self.gone.len() > GONE {
                let surplus = self.gone.len() - GONE;
                for gone in self.gone.drain(..surplus) {
                    self.base = self.base.max(gone.at);
                }
            }
        }
        if !changed {
            return false;
        }
        self.gone
            .retain(|gone| !slots.iter().any(|shown| shown.view.slot == gone.slot));
        let fragment = Fragment {
            slots,
            changed: index,
            rendered: OnceLock::new(),
        };
        self.fragments.insert(place, Arc::new(fragment));
        true
    }

    /// The position of a product.
    #[must_use]
    pub fn product(&self, slug: &str) -> Option<usize> {
        let products = &self.catalogue.definition.products;
        products.iter().position(|product| product.slug == slug)
    }

    /// The fragments of a range with the positions of their products, in order of product and day.
    pub fn fragments(&self, range: &Range) -> impl Iterator<Item = (usize, &Arc<Fragment>)> {
        let products = match range.product {
            Some(position) => position..position + 1,
            None => 0..self.catalogue.definition.products.len(),
        };
        let (from, to) = (range.from, range.to);
        products.flat_map(move |position| {
            self.fragments
                .range((position, from)..=(position, to))
                .map(|((position, _), fragment)| (*position, fragment))
        })
    }

    /// Log index at which the range last changed.
    #[must_use]
    pub fn changed(&self, range: &Range) -> u64 {
        let fragments = self.fragments(range).map(|(_, fragment)| fragment.changed).max();
        fragments.unwrap_or(self.base).max(self.catalogue_changed)
    }

    /// Slots of the range that changed after `index`, with the positions of their products.
    pub fn changes(&self, range: &Range, index: u64) -> impl Iterator<Item = (usize, &Shown)> {
        self.fragments(range)
            .filter(move |(_, fragment)| fragment.changed > index)
            .flat_map(|(position, fragment)| fragment.slots.iter().map(move |shown| (position, shown)))
            .filter(move |(_, shown)| shown.changed > index)
    }

    /// Slots of the range that went after `index`.
    pub fn gone(&self, range: &Range, index: u64) -> impl Iterator<Item = &Gone> {
        let product = range
            .product
            .and_then(|position| self.catalogue.definition.products.get(position));
        let (from, to) = (range.from, range.to);
        self.gone.iter().filter(move |gone| {
            gone.at > index
                && (from..=to).contains(&gone.day)
                && product.is_none_or(|product| product.slug == gone.slot.product)
        })
    }
}

#[cfg(test)]
mod tests;
