//! How fast the work goes.

/// Seconds after which an observation counts half.
const HALF_LIFE: f64 = 30.0;

/// A rate smoothed over time: a long observation moves it more than a short one, and it does not
/// matter how a stretch of work is cut into observations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    units: f64,
    seconds: f64,
}

impl Rate {
    /// Takes in that `units` were done in `seconds` of work.
    pub fn observe(&mut self, units: usize, seconds: f64) {
        let fade = 0.5_f64.powf(seconds / HALF_LIFE);
        self.units = self.units.mul_add(fade, units as f64);
        self.seconds = self.seconds.mul_add(fade, seconds);
    }

    /// Units a second, once anything was observed.
    pub fn per_second(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.units / self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn constant_work_gives_its_rate_however_it_is_cut() {
        let (mut coarse, mut fine) = (Rate::default(), Rate::default());
        assert_eq!(coarse.per_second(), None);
        for _ in 0..20 {
            coarse.observe(100, 10.0);
        }
        for _ in 0..200 {
            fine.observe(10, 1.0);
        }
        assert!((coarse.per_second().unwrap() - 10.0).abs() < 1e-9);
        assert!((fine.per_second().unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn follows_a_change() {
        let mut rate = Rate::default();
        (0..100).for_each(|_| rate.observe(10, 1.0));
        (0..200).for_each(|_| rate.observe(40, 1.0));
        assert!((rate.per_second().unwrap() - 40.0).abs() < 1.0);
    }
}
