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
    """A league with its divisions, and its teams in the order of their ids, five to a division."""

    name: str
    abbr: str
    divisions: tuple[str, ...]
    teams: tuple[TeamName, ...]


LEAGUES = {
    100: LeagueName(
        "Lakeshore League",
        "LSL",
        ("Harbor", "River", "Península"),
        (
            TeamName("Port Alder", "PAL", "Herons"),
            TeamName("Marlow", "MAR", "Millers"),
            TeamName("São Telmo", "STE", "Navegantes"),
            TeamName("Grand Ferry", "GFY", "Pilots"),
            TeamName("Copper Bay", "CBY", "Smelters"),
            TeamName("Ostrava Falls", "OSF", "Žraloci"),
            TeamName("Pike Landing", "PKL", "Anglers"),
            TeamName("Vänersborg", "VAN", "Älgar"),
            TeamName("Low Water", "LOW", "Mudlarks"),
            TeamName("Three Rivers", "TRV", "Otters"),
            TeamName("Cabo Frío", "CAB", "Faros"),
            TeamName("Lantern Point", "LPT", "Keepers"),
            TeamName("Nørre Havn", "NHV", "Terns"),
            TeamName("Breakwater", "BRK", "Stones"),
            TeamName("Saint-Malo-des-Lacs", "SML", "Corsaires"),
        ),
    ),
    101: LeagueName(
        "Prairie & Plains Association",
        "PPA",
        ("North", "Middle", "South"),
        (
            TeamName("Dry Creek", "DRC", "Drovers"),
            TeamName("Saint Odile", "STO", "Blés d'Or"),
            TeamName("Windom", "WIN", "Threshers"),
            TeamName("Kearny Gap", "KGP", "Bison"),
            TeamName("Lone Butte", "LOB", "Coyotes"),
            TeamName("Nowhere", "NOW", "Nobodies"),
            TeamName("Big Elevator", "BEL", "Grain Kings"),
            TeamName("Český Dub", "CDU", "Kovboji"),
            TeamName("Fort Tumble", "FTT", "Weeds"),
            TeamName("Sod House", "SOD", "Homesteaders"),
            TeamName("Mesa Roja", "MRJ", "Alacranes"),
            TeamName("Salt Flat", "SLT", "Mirage"),
            TeamName("Hundred Mile", "HMI", "100%ers"),
            TeamName("Oil Springs", "OIL", "Drillers"),
            TeamName("Last Chance", "LCH", "Prospectors"),
        ),
    ),
}
