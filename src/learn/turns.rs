//! Turns: which of several things each step takes, drawn by their shares, and how often each had its turn
//! before.

use rand::Rng as _;

use crate::seed;

/// Turns of several things. Each is drawn by the seed, its number and the shares alone; how often a thing was
/// drawn before is counted, so that it goes on where it was left, whatever the others did meanwhile.
///
/// ```
/// use cloze::learn::turns::Turns;
/// let mut turns = Turns::new(7, "task of step", vec![3.0, 1.0]);
/// let drawn: Vec<(usize, usize)> = (0..400).map(|number| turns.at(number)).collect();
/// let of_second: Vec<usize> = drawn.iter().filter(|(which, _)| *which == 1).map(|(_, before)| *before).collect();
/// assert!((60..140).contains(&of_second.len()));
/// assert_eq!(of_second, (0..of_second.len()).collect::<Vec<_>>());
/// // A training that is taken up again asks for a later one first.
/// assert_eq!(Turns::new(7, "task of step", vec![3.0, 1.0]).at(250), drawn[250]);
/// ```
pub struct Turns {
    seed: u64,
    name: &'static str,
    shares: Vec<f64>,
    /// The next turn that was not counted.
    next: usize,
    /// How often each had its turn before that.
    before: Vec<usize>,
}

impl Turns {
    /// Turns of things with these shares, by the name of what is drawn.
    ///
    /// # Panics
    /// If there is nothing to draw.
    pub fn new(seed: u64, name: &'static str, shares: Vec<f64>) -> Turns {
        assert!(shares.iter().any(|share| *share > 0.0), "nothing has a share");
        Turns { seed, name, before: vec![0; shares.len()], shares, next: 0 }
    }

    /// Which of the things has the turn of a number, counted from 0, and how often it had one before. Numbers
    /// that go up cost a draw each.
    pub fn at(&mut self, number: usize) -> (usize, usize) {
        if number < self.next {
            self.next = 0;
            self.before.fill(0);
        }
        while self.next < number {
            let passed = self.drawn(self.next);
            self.before[passed] += 1;
            self.next += 1;
        }
        let which = self.drawn(number);
        (which, self.before[which])
    }

    fn drawn(&self, number: usize) -> usize {
        let sum: f64 = self.shares.iter().sum();
        let mut place = seed::generator(self.seed, &format!("{} {number}", self.name)).gen_range(0.0..sum);
        let drawn = self.shares.iter().position(|share| {
            place -= share;
            place < 0.0
        });
        // Rounding may leave a rest behind the last.
        drawn.unwrap_or(0)
    }
}
