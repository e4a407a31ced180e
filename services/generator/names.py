"""Names of people and teams; made up, and not all of them in ASCII."""

from __future__ import annotations

from typing import NamedTuple

FIRST_NAMES = (
    "José", "Zoë", "Jiří", "Łukasz", "Søren", "Björn", "Nuño", "Chloë", "Đorđe", "Émile",
    "Walter", "Ray", "Dwight", "Hal", "Otis", "Curtis", "Amos", "Leroy", "Grant", "Wade",
    "Marcus", "Theo", "Silas", "Ezra", "Caleb", "Jonah", "Felix", "Hugo", "Oscar", "Iván",
    "健太", "志明", "민준", "Олег", "Γιάννης", "Noa", "D'Andre", "Jean-Luc", "Mo", "Ty",
)  # fmt: skip

LAST_NAMES = (
    "Šimůnek", "陳", "Peña", "Müller", "O'Rourke", "Nuñez", "Østergaard", "Żuraw", "Ågren", "Ibáñez",
    "Whitlock", "Pruett", "Calloway", "Hartigan", "Stroud", "Bellamy", "Kessler", "Ragland", "Tibbs", "Yarrow",
    "Quarles", "Vance", "Dunleavy", "Marchetti", "Okafor", "Nakagawa", "Lindqvist", "Fontaine", "Abara", "Castellano",
    "佐藤", "김", "Соколов", "Παππάς", "de la Cruz", "van den Berg", "St. Clair", "Li", "Smith-Jones", "Ferreira",
)  # fmt: skip

NICK_NAMES = ("Lefty", "Moose", 'The "Clock"', "Ño", "Back\\slash", "100%", "🦊")


class TeamName(NamedTuple):
    """A team's town, the letters on its cap, and what it is called."""

    town: str
    abbr: str
    nickname: str


class LeagueName(NamedTuple):
    """A league with its teams, in the order of their ids."""

    name: str
    abbr: str
    teams: tuple[TeamName, ...]


LEAGUES = {
    100: LeagueName(
        "Lakeshore League",
        "LSL",
        (
            TeamName("Port Alder", "PAL", "Herons"),
            TeamName("Marlow", "MAR", "Millers"),
            TeamName("São Telmo", "STE", "Navegantes"),
            TeamName("Grand Ferry", "GFY", "Pilots"),
            TeamName("Copper Bay", "CBY", "Smelters"),
            TeamName("Ostrava Falls", "OSF", "Žraloci"),
        ),
    ),
    101: LeagueName(
        "Prairie & Plains Association",
        "PPA",
        (
            TeamName("Dry Creek", "DRC", "Drovers"),
            TeamName("Saint Odile", "STO", "Blés d'Or"),
            TeamName("Windom", "WIN", "Threshers"),
            TeamName("Kearny Gap", "KGP", "Bison"),
            TeamName("Lone Butte", "LOB", "Coyotes"),
            TeamName("Nowhere", "NOW", "Nobodies"),
        ),
    ),
}
