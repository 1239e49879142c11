//! The item features of a step: of the whole catalog, or of the rows that stand in for it.

use std::sync::Arc;

use crate::kernels::bag::Bags;
use crate::model::error::Error;
use crate::model::trained::Trained;

/// For each item feature the values of every item.
pub(crate) struct Catalog {
    whole: Arc<Vec<(String, Bags)>>,
    features: Vec<Feature>,
}

struct Feature {
    name: String,
    /// Values of an item at most.
    most: usize,
    /// `[items + 2, most]`, padded with 0.
    ids: Vec<u32>,
}

impl Catalog {
    /// The catalog of a model.
    pub(crate) fn new(model: &Trained) -> Result<Self, Error> {
        let feature = |name: &String| -> Result<Feature, Error> {
            let ids = &model.catalog[name];
            Ok(Feature {
                name: name.clone(),
                most: ids.dim(1)?,
                ids: ids.flatten_all()?.to_vec1()?,
            })
        };
        let names = model.recipe.item_features().iter();
        Ok(Self {
            whole: Arc::new(model.catalog_bags()?),
            features: names.map(feature).collect::<Result<_, _>>()?,
        })
    }

    /// The features of all items, as bags of values.
    pub(crate) fn whole(&self) -> Arc<Vec<(String, Bags)>> {
        self.whole.clone()
    }

    /// The features of these rows of the item table.
    pub(crate) fn of(&self, rows: &[u32]) -> Arc<Vec<(String, Bags)>> {
        let bags = |feature: &Feature| {
            let of_row = |&row: &u32| &feature.ids[row as usize * feature.most..][..feature.most];
            let ids: Vec<u32> = rows.iter().flat_map(of_row).copied().collect();
            (feature.name.clone(), Bags::padded(ids, feature.most))
        };
        Arc::new(self.features.iter().map(bags).collect())
    }
}
