-- Every row of ootp.players, partition date_year=2031: its partition, the canonical form of its key, and the md5 digest of its canonical row.
WITH canonical_rows AS (
  SELECT
    'date_year=' || coalesce(to_char("date", 'YYYY'), 'null') AS "partition",
    substring(
      coalesce('|' || 'id=' || CAST("id" AS VARCHAR), ''), 2) AS "key",
    substring(
      coalesce('|' || 'date=' || to_char("date", 'YYYY-MM-DD'), '')
      || coalesce('|' || 'fee=' || CAST("fee" AS VARCHAR), '')
      || coalesce('|' || 'id=' || CAST("id" AS VARCHAR), '')
      || coalesce('|' || 'name=' || CAST(octet_length("name") AS VARCHAR) || ':' || "name", '')
      || coalesce('|' || 'rating=' || CAST((CASE WHEN "rating" IS NULL THEN NULL WHEN "rating" = 0 THEN 0 WHEN abs("rating") < CAST('2.2250738585072014e-308' AS DOUBLE PRECISION) THEN CAST(least(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION)) * power(CAST('2' AS DOUBLE PRECISION), 537) * power(CAST('2' AS DOUBLE PRECISION), 537) AS BIGINT) WHEN (abs("rating") / power(CAST('2' AS DOUBLE PRECISION), least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023))) < 1 THEN (CAST(least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023) AS BIGINT) + 1022) * 4503599627370496 + CAST(least(greatest((abs("rating") / power(CAST('2' AS DOUBLE PRECISION), least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023))) * 2 - 1, 0), 1) * 4503599627370496 AS BIGINT) WHEN (abs("rating") / power(CAST('2' AS DOUBLE PRECISION), least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023))) >= 2 THEN (CAST(least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023) AS BIGINT) + 1024) * 4503599627370496 + CAST(least(greatest((abs("rating") / power(CAST('2' AS DOUBLE PRECISION), least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023))) / 2 - 1, 0), 1) * 4503599627370496 AS BIGINT) ELSE (CAST(least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023) AS BIGINT) + 1023) * 4503599627370496 + CAST(least(greatest((abs("rating") / power(CAST('2' AS DOUBLE PRECISION), least(greatest(floor(ln(greatest(abs("rating"), CAST('2.2250738585072014e-308' AS DOUBLE PRECISION))) / ln(2.0)), -1022), 1023))) - 1, 0), 1) * 4503599627370496 AS BIGINT) END + CASE WHEN "rating" < 0 THEN -9223372036854775807 - 1 ELSE 0 END) AS VARCHAR), ''), 2) AS canonical
  FROM "ootp"."players"
  WHERE "date" >= DATE '2031-01-01' AND "date" < DATE '2032-01-01'
)
SELECT "partition", "key", md5(canonical) AS digest
FROM canonical_rows;
