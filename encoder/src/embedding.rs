//! Vectors as they leave a tower: f32 rows.

/// Item vectors, `[n, dim]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    /// The length of one row.
    pub dim: usize,
    /// Row after row.
    pub values: Vec<f32>,
}

/// User vectors, `[n, interests, dim]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interests {
    /// Vectors per user.
    pub interests: usize,
    /// The length of one vector.
    pub dim: usize,
    /// User after user, interest after interest.
    pub values: Vec<f32>,
    /// `[n, interests]`; empty if the model gives none.
    pub weights: Vec<f32>,
    /// Per user: no event of the history names an item that the model knows.
    pub cold: Vec<bool>,
    /// One a user; empty if the model does not tell.
    pub attention: Vec<Attention>,
}

/// How much each event that the model saw of a user counts for each interest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attention {
    /// The items of the events, oldest first.
    pub items: Vec<u64>,
    /// `[interests, items]`.
    pub values: Vec<f32>,
}

impl Embeddings {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns row `i`.
    ///
    /// # Panics
    /// If there are not that many rows.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// Returns the rows in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.dim.max(1))
    }
}

impl Interests {
    /// Returns the number of users.
    pub fn len(&self) -> usize {
        self.cold.len()
    }

    /// Returns whether there are no users.
    pub fn is_empty(&self) -> bool {
        self.cold.is_empty()
    }

    /// Returns the vectors of user `i`, `[interests, dim]`.
    ///
    /// # Panics
    /// If there are not that many users.
    pub fn user(&self, i: usize) -> &[f32] {
        let size = self.interests * self.dim;
        &self.values[i * size..(i + 1) * size]
    }

    /// Returns the weights of the interests of user `i`; empty if the model gives none.
    ///
    /// # Panics
    /// If the model gives weights and there are not that many users.
    pub fn weights_of(&self, i: usize) -> &[f32] {
        if self.weights.is_empty() {
            return &[];
        }
        &self.weights[i * self.interests..(i + 1) * self.interests]
    }

    /// Returns how much each event of user `i` counts; none if the model does not tell.
    pub fn attention_of(&self, i: usize) -> Option<&Attention> {
        self.attention.get(i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_at_the_dimension() {
        let embeddings = Embeddings {
            dim: 2,
            values: vec![1.0, 2.0, 3.0, 4.0],
        };
        assert_eq!(embeddings.len(), 2);
        assert_eq!(embeddings.row(1), [3.0, 4.0]);
        assert_eq!(embeddings.rows().next(), Some([1.0, 2.0].as_slice()));
    }

    #[test]
    fn a_user_has_all_its_interests_in_one_slice() {
        let interests = Interests {
            interests: 2,
            dim: 1,
            values: vec![1.0, 2.0, 3.0, 4.0],
            weights: vec![0.1, 0.2, 0.3, 0.4],
            cold: vec![false, true],
            attention: Vec::new(),
        };
        assert_eq!(interests.len(), 2);
        assert_eq!(interests.user(1), [3.0, 4.0]);
        assert_eq!(interests.weights_of(0), [0.1, 0.2]);
        assert_eq!(interests.attention_of(0), None);
    }
}
