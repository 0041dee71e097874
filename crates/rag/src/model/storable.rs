//! Vectors that half precision holds.

/// Highest number of half precision.
const MAX_HALF: f32 = 65_504.0;
/// Least value of a vector's largest number at which half precision keeps all eleven bits of it.
const MIN_LARGEST: f32 = 1.0 / 1_024.0;

/// The vector as it is, or of unit length where half precision would not hold it. What is compared is direction: most models
/// give vectors of unit length, a provider's may have any.
pub fn storable(mut vector: Vec<f32>) -> Vec<f32> {
    let highest = vector.iter().fold(0.0, |highest: f32, number| highest.max(number.abs()));
    if highest > 0.0 && highest.is_finite() && !(MIN_LARGEST..=MAX_HALF).contains(&highest) {
        let squares = vector.iter().map(|number| f64::from(*number).powi(2));
        let length = squares.sum::<f64>().sqrt();
        for number in &mut vector {
            *number = (f64::from(*number) / length) as f32;
        }
    }
    vector
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_storable_has_the_same_direction(
            vector in prop::collection::vec(-1.0_f32..1.0, 1..50),
            exponent in -44..38_i32,
        ) {
            let vector: Vec<f32> = vector.iter().map(|n| n * 10.0_f32.powi(exponent)).collect();
            let stored = storable(vector.clone());
            let stored: Vec<f32> = stored.iter().map(|n| f16::from_f32(*n).to_f32()).collect();
            let length = |v: &[f32]| v.iter().map(|n| f64::from(*n).powi(2)).sum::<f64>().sqrt();
            let (a, b) = (length(&vector), length(&stored));
            prop_assert_eq!(a > 0.0, b > 0.0);
            prop_assert!(b.is_finite());
            for (before, after) in vector.iter().zip(&stored).filter(|_| a > 0.0) {
                prop_assert!((f64::from(*before) / a - f64::from(*after) / b).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn vectors_of_unit_length_are_stored_unchanged() {
        let vector = vec![0.6, -0.8, 0.0];
        assert_eq!(storable(vector.clone()), vector);
        assert_eq!(storable(vec![0.0, 0.0]), [0.0, 0.0]);
    }
}
