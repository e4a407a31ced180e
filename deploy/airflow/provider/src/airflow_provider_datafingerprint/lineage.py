"""OpenLineage: the data quality assertion that a lake table equals its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ASSERTION = "equals_source"


@dataclass(frozen=True)
class TableEquality:
    """Whether a lake table was found equal to its source.

    Attributes:
        url: The service that compared them.
        table: `schema.table`.
        is_equal: False also where it could not be decided.
        details: What was compared, or why they differ.
    """

    url: str
    table: str
    is_equal: bool
    details: str


def operator_lineage(equality: TableEquality | None) -> Any:
    """The report to OpenLineage.

    Returns: None where nothing was compared, or OpenLineage is not installed.
    """
    if equality is None:
        return None
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - it is optional
        from openlineage.client.event_v2 import InputDataset  # noqa: PLC0415
        from openlineage.client.facet_v2 import data_quality_assertions_dataset  # noqa: PLC0415
    except ImportError:
        return None
    assertion = data_quality_assertions_dataset.Assertion(
        assertion=ASSERTION, success=equality.is_equal, description=equality.details
    )
    facet = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=[assertion])
    namespace = equality.url.replace("https://", "datafingerprint://").replace("http://", "datafingerprint://")
    dataset = InputDataset(namespace=namespace, name=equality.table, inputFacets={"dataQualityAssertions": facet})
    return OperatorLineage(inputs=[dataset])
