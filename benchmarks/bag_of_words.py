"""The baseline: TF-IDF of words and word pairs, and one logistic regression a finding."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline


def bag_of_words(texts: Sequence[str], truth: NDArray[np.int64], *, strengths: Sequence[float]) -> Pipeline:
    """Fitted on `texts` and `truth` (texts, findings) of 0 and 1; `predict_proba` gives (texts, findings).

    Of several `strengths` (C) cross-validation chooses the one with the best macro F1.
    """
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        OneVsRestClassifier(LogisticRegression(max_iter=2000, class_weight="balanced", C=strengths[0])),
    )
    if len(strengths) > 1:
        model = GridSearchCV(model, {"onevsrestclassifier__estimator__C": strengths}, scoring="f1_macro", cv=3)
    return model.fit(texts, truth)
