"""Units of measurement: spellings, dimensions, prefixes, conversion and quantities in several parts."""

from fractions import Fraction

import pytest

from reassess.judge.quantity import Quantity, compare_quantities, read_quantity
from reassess.judge.units import is_angle, known_unit


def read(text: str) -> Quantity:
    quantity = read_quantity(text, True)
    assert quantity is not None, text
    return quantity


def answers(reply: str, gold: str) -> bool:
    return compare_quantities(read(gold), read(reply))[0]


SAME = [
    # dimensions
    ("5 J", "5 N·m"), ("5 kg·m²/s²", "5 J"), ("5 kg m^2 s^-2", "5 J"), ("12 N·s", "12 kg·m/s"), ("5 V·A", "5 W"),
    ("5 V/A", "5 Ω"), ("3 Wb", "3 T·m²"), ("50 N/m", "50 J/m²"), ("2 L", "2 dm^3"), ("5 mL", "5 cm³"), ("5 cc", "5 mL"),
    ("1 kWh", "3.6 MJ"), ("1.5 kW h", "5.4 MJ"), ("5 W·h", "18000 J"), ("50 mg/kg", "50 ppm"), ("60 rpm", "1 Hz"),
    ("5 s^{-1}", "5 Hz"), ("10 rad/s", "10 s^-1"), ("35 apples per week", "5 apples/day"),
    ("1.3558179483314004 J", "1 ft-lb"),
    # prefixes
    ("4.7 μF", "4700 nF"), ("4.7 uF", "4.7 microfarads"), ("5 kΩ", "5000 ohms"), ("20 kOhm", "20 k\\Omega"),
    ("8 \\mu\\text{C}", "8 µC"), ("5 MeV", "5000 keV"), ("2.4 GHz", "2400 MHz"), ("100 mM", "0.1 mol/L"),
    ("1 GB", "8 Gb"), ("10 kiloparsecs", "10 kpc"),
    # spellings
    ("9.8 m s^{-2}", "9.8 m/s^2"), ("9.81 ms^-2", "9.81 m/s²"), ("5 m s-2", "5 m/s2"), ("5 m/s/s", "5 m/s^2"),
    ("20 \\mathrm{m} \\cdot \\mathrm{s}^{-1}", "20 m/s"), ("9.8 \\mathrm{m\\,s^{-2}}", "9.8 \\frac{m}{s^2}"),
    ("5 meters per second squared", "5 m/s²"), ("5 metres per second per second", "5 m/s²"), ("16 sq. in.", "16 in²"),
    ("5 cubic metres", "5 m^3"), ("5 meters cubed", "5 m³"), ("10 acres", "10 acre"), ("0.1 M", "0.1 mol dm-3"),
    ("1.2 kJ/(kg\\cdot K)", "1200 J kg^{-1} K^{-1}"), ("5 kJ/kg K", "5000 J/(kg·°C)"), ("5 newton-metres", "5 Nm"),
    ("5 fl. oz.", "5 fluid ounces"), ("1 light-year", "1 ly"), ("12-inch", "1 ft"), ("5 KG", "5000 g"),
    ("1hr", "60 min"),
    ("30 mph", "30 miles per hour"), ("20 knots", "20 kn"), ("5 \\AA", "0.5 nm"), ("12 cm long", "12 cm"),
    ("18 g of H_2O", "18 g"), ("5 pieces of cake", "5 pieces"), ("8 L/100 km", "0.08 L/km"), ("5 people", "5 persons"),
    # other systems and rounding
    ("101325 Pa", "1 atm"), ("760 mmHg", "1 atm"), ("1.609344 km", "1 mile"), ("1.609 km", "1 mile"),
    ("1 mile", "1.6 km"),
    ("8.05 km", "5 miles"), ("1.60e-19 J", "1 eV"), ("1 eV", "1.602e-19 J"), ("5 cal", "20.92 J"), ("2.20 lb", "1 kg"),
    ("244.9 cm", "2.45 m"), ("27.7777778 m/s", "100 km/h"), ("3.14159265 rad", "180°"), ("365 days", "1 year"),
    ("1 decade", "10 years"), ("100 km/h", "27.8 m/s"),
    # temperatures
    ("298.15 K", "25 °C"), ("298 K", "25 °C"), ("27 °C", "300 K"), ("77 °F", "25 °C"), ("-40 °F", "-40 °C"),
    ("37 degrees Celsius", "98.6 °F"), ("25 C", "298.15 K"), ("25°", "25 °C"), ("212 F", "100 °C"),
    # parts
    ("2 hours 30 minutes", "150 min"), ("2h30m", "2.5 h"), ("2 hours and 30 minutes", "2.5 h"), ("5 ft 3 in", "63 in"),
    ("5'3\"", "63 inches"), ("5 feet and 3 inches", "63 in"), ("22°30'", "22.5°"), ("35°30′15″", "35°30'15\""),
    ("35^\\circ 30^\\prime", "35.5°"), ("35 degrees 30 minutes", "35.5°"), ("3 weeks 2 days", "23 days"),
    ("5 m 30 cm", "5.3 m"), ("2 dollars and 50 cents", "$2.50"), ("two hours thirty minutes", "150 min"),
    # money
    ("5¢", "$0.05"), ("USD 20.00", "$20"), ("20 US dollars", "US$20"), ("20 USD", "$20"), ("£5", "5 pounds"),
    ("5 lb", "5 pounds"), ("¥300", "300 yuan"), ("300 yen", "¥300"), ("15 dollars per hour", "$15/h"),
    ("$15", "$15 per hour"),
    ("50 pence", "£0.50"), ("$20 in total", "$20"), ("Rs. 500", "₹500"),
    # missing and unknown units
    ("5", "5 dB"), ("5 dB", "5 dB"), ("5 foobars", "5"), ("5 foobars", "5 foobar"),
    ("25 students per class", "25 students/class"),
    ("5 ★", "5"), ("10 人", "10"), ("5 horses", "5 horse"), ("5 units", "5 cm"), ("50 ppm", "50"),
    ("5% per year", "5%"),
]  # fmt: skip

DIFFERENT = [
    # dimensions
    ("5 cm", "5 cm²"), ("5 m", "5 min"), ("12 N/m", "12 N·m"), ("20 m/s²", "20 m/s"), ("5 kg", "5 N"), ("45 cm", "45°"),
    ("5 Hz", "5 rad/s"), ("60 Hz", "60 rpm"), ("$15 per day", "$15 per hour"), ("$3/lb", "$3/kg"), ("5 Sv", "5 Gy"),
    # prefixes and case
    ("5 mW", "5 MW"), ("5 meV", "5 MeV"), ("5 mev", "5 MeV"), ("4.7 mF", "4.7 μF"), ("5 Mm", "5 mm"), ("1 Gb", "1 GB"),
    ("5 ml", "5 ML"), ("12 mm", "12 nm"),
    # conversion
    ("3.6 kWh", "3.6 MJ"), ("2 bar", "2 atm"), ("200 kPa", "2 atm"), ("60 km/h", "60 mph"), ("8 km", "5 miles"),
    ("8.15 km", "5 miles"), ("1.6 km", "1 mile"), ("1.5 m", "5 ft"), ("62 miles", "100 km"), ("27.8 m/s", "100 km/h"),
    ("0.3333 h", "20 min"), ("3.14 rad", "180°"), ("244.4 cm", "2.45 m"), ("1.6e-19 J", "1 eV"), ("30 days", "1 month"),
    ("45 rad", "45°"), ("10 acres", "10 hectares"), ("1 mile", "1.62 km"),
    # temperatures
    ("25 K", "25 °C"), ("25 °F", "25 °C"), ("310.15 °C", "98.6 °F"), ("374 K", "100 °C"), ("10 K", "10 °C"),
    # parts
    ("1 h 25 min", "75 min"), ("2.3 hours", "2 hours 30 minutes"), ("5.3 ft", "63 in"), ("150", "2 hours 30 minutes"),
    ("35.3°", "35°30'"),
    # money
    ("5 cents", "$5"), ("€15", "$15"), ("£5", "5 lb"), ("300 yen", "300 yuan"), ("A$20", "$20"), ("$5", "€5"),
    # unknown units
    ("5 apples", "5 oranges"), ("5 dB", "5 Bq"), ("25 students per class", "25 students per school"), ("5 AM", "5 PM"),
    ("5 foobars", "5 cm"), ("5 slices of cake", "5 pieces of cake"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "gold"), SAME)
def test_the_same_quantity(reply: str, gold: str) -> None:
    assert answers(reply, gold)


@pytest.mark.parametrize(("reply", "gold"), DIFFERENT)
def test_another_quantity(reply: str, gold: str) -> None:
    assert not answers(reply, gold)


@pytest.mark.parametrize("text", ["5 m and 30 cm", "5 m and 6 m", "5 ft 13 in", "5 m 3 s", "2 h 2 h", "1.5 h 30 min"])
def test_several_quantities_are_none(text: str) -> None:
    assert read_quantity(text, True) is None


def test_angles_convert_to_degrees() -> None:
    degree, radian, minute = known_unit("°"), known_unit("rad"), known_unit("arcmin")
    assert degree
    assert radian
    assert minute
    assert all(map(is_angle, (degree, radian, minute)))
    assert not any(map(is_angle, (known_unit("m"), known_unit("rad/s"), None)))
    assert degree.factor == 1
    assert minute.factor == Fraction(1, 60)
    assert str(radian.factor.numerator * 10**60 // radian.factor.denominator)[:20] == "57295779513082320876"


@pytest.mark.parametrize("text", ["5 m g", "2 N m", "5 x", "2m", "2ab", "2ha", "3 D", "5 p"])
def test_variables_in_formulas_are_no_units(text: str) -> None:
    assert read_quantity(text) is None


@pytest.mark.parametrize(
    "text", ["5 m/s", "5 N \\cdot m", "5 m s^{-2}", "5 kW h", "5cm", "5 °C", "2 h 30 min", "5 apples"]
)
def test_units_next_to_formulas(text: str) -> None:
    quantity = read_quantity(text)
    assert quantity is not None
    assert quantity.unit is not None
