//! Random choices that are equal for equal seeds on every machine and with every version of the
//! `rand` crates.
//!
//! Only the ChaCha8 key stream comes from outside; ranges and distributions are made here from
//! integers and from the four IEEE operations, because the `exp` and `ln` of a C library may differ
//! in their last bit.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A stream of random choices.
pub struct Dice(ChaCha8Rng);

impl Dice {
    /// The choices of stream number `stream` under `seed`; streams do not depend on one another.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(stream);
        Self(rng)
    }

    /// A number under `limit`, which is not 0.
    pub fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(limit)) >> 32) as u32
    }

    /// A number from 0 up to but not including 1.
    pub fn unit(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / 4_294_967_296.0
    }

    /// True in `percent` of all cases.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// An item of `items`, which is not empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u32) as usize]
    }

    /// The index of a weight, each as likely as it is heavy.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut rest = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    /// A log-normal number: half are under `median`, and 68 % within a factor of two to the
    /// `octaves`.
    pub fn log_normal(&mut self, median: f64, octaves: f64) -> f64 {
        let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        median * exp2(normal * octaves)
    }

    /// Fills `bytes` with incompressible data.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// Two to the power of `x`, by a Taylor series on the fraction: good to ten digits.
fn exp2(x: f64) -> f64 {
    let whole = x.floor();
    let y = (x - whole) * std::f64::consts::LN_2;
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..12 {
        term = term * y / f64::from(n);
        sum += term;
    }
    if whole >= 0.0 {
        sum * (1u64 << (whole as u32).min(62)) as f64
    } else {
        sum / (1u64 << (-whole as u32).min(62)) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};

    use super::*;

    #[test]
    fn equal_seeds_give_equal_choices_and_streams_differ() {
        let choices = |seed, stream| {
            let mut dice = Dice::new(seed, stream);
            (0..8).map(|_| dice.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(choices(7, 1), choices(7, 1));
        assert_ne!(choices(7, 1), choices(7, 2));
        assert_ne!(choices(7, 1), choices(8, 1));
    }

    #[test]
    fn powers_of_two() {
        for (x, expected) in [
            (0.0, 1.0),
            (3.0, 8.0),
            (-2.0, 0.25),
            (0.5, SQRT_2),
            (-0.5, FRAC_1_SQRT_2),
        ] {
            assert!((exp2(x) - expected).abs() < 1e-9, "2^{x} = {}", exp2(x));
        }
    }

    #[test]
    fn log_normal_has_its_median() {
        let mut dice = Dice::new(1, 1);
        let under = (0..10_000)
            .filter(|_| dice.log_normal(500.0, 1.7) < 500.0)
            .count();
        assert!(
            (4_800..5_200).contains(&under),
            "{under} of 10000 under the median"
        );
    }
}
