import pytest

from shared.airtable.config import AirtableConfig, airtable_config, parse_base_id
from shared.errors import ConfigurationError

BASE = "appA1b2C3d4E5f6G7"
TABLE = "tblA1b2C3d4E5f6G7"
OTHER_TABLE = "tblZ9y8X7w6V5u4T3"
TOKEN = "patSecretSecretSe.0123456789abcdef"


def config(
    *,
    base_id: str = BASE,
    table_name: str | None = None,
    table_id: str | None = None,
    endpoint_url: str | None = None,
    content_url: str | None = None,
) -> AirtableConfig:
    made = airtable_config(
        api_key=TOKEN,
        base_id=base_id,
        table_name=table_name,
        table_id=table_id,
        endpoint_url=endpoint_url,
        content_url=content_url,
    )
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("text", "table"),
    [
        (BASE, None),
        (f"  {BASE}/ ", None),
        (f"{BASE}/{TABLE}", TABLE),
        (f"https://airtable.com/{BASE}/{TABLE}/viwA1b2C3d4E5f6G7?blocks=hide", TABLE),
        (f"https://www.airtable.com/{BASE}/{TABLE}#x", TABLE),
        (f"https://airtable.com/{BASE}/shrA1b2C3d4E5f6G7", None),
    ],
)
def test_every_form_of_the_base_id_that_people_have_at_hand_is_read(text: str, table: str | None) -> None:
    assert parse_base_id(text) == (BASE, table)


@pytest.mark.parametrize("text", ["your_base_id/your_table_id", TABLE, "app123", f"x{BASE}", f"{BASE}\nx", "/"])
def test_a_text_without_base_id_is_refused_naming_the_variable(text: str) -> None:
    with pytest.raises(ConfigurationError, match="AIRTABLE_BASE_ID"):
        parse_base_id(text)


def test_a_token_pasted_as_base_id_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_base_id(TOKEN)
    assert "Secret" not in str(caught.value)


def test_an_explicit_table_id_wins_over_everything() -> None:
    made = config(base_id=f"{BASE}/{TABLE}", table_id=OTHER_TABLE, table_name="Videos")
    assert made.table == OTHER_TABLE


def test_a_table_id_given_as_the_name_counts_as_explicit() -> None:
    assert config(base_id=f"{BASE}/{TABLE}", table_name=OTHER_TABLE).table == OTHER_TABLE


def test_the_table_id_beside_the_base_id_wins_over_the_name() -> None:
    assert config(base_id=f"{BASE}/{TABLE}", table_name="Videos").table == TABLE


def test_without_any_id_the_name_counts_and_has_a_default() -> None:
    assert config(table_name=" Videos ").table == "Videos"
    assert config(table_name=" ").table == "Video Generation"


def test_a_malformed_table_id_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AIRTABLE_TABLE_ID"):
        config(table_id="Videos")


def test_the_endpoints_are_airtables_own_by_default() -> None:
    made = config()
    assert (made.endpoint_url, made.content_url) == ("https://api.airtable.com", "https://content.airtable.com")
    assert made.is_real
    assert made.attachment_hosts == ("airtableusercontent.com", "dl.airtable.com")


def test_the_content_endpoint_follows_a_changed_endpoint() -> None:
    made = config(endpoint_url="http://127.0.0.1:9000/")
    assert (made.endpoint_url, made.content_url) == ("http://127.0.0.1:9000", "http://127.0.0.1:9000")
    assert not made.is_real
    assert "127.0.0.1:9000" in made.attachment_hosts


def test_the_content_endpoint_can_be_set_alone() -> None:
    made = config(content_url="http://127.0.0.1:9001")
    assert made.content_url == "http://127.0.0.1:9001"
    assert made.endpoint_url == "https://api.airtable.com"


@pytest.mark.parametrize("url", ["api.airtable.com", "ftp://x", "http://", "http://u:p@x", "http://x?y=1", "http://[x"])
def test_a_malformed_endpoint_is_refused_naming_the_variable(url: str) -> None:
    with pytest.raises(ConfigurationError, match="AIRTABLE_ENDPOINT_URL"):
        config(endpoint_url=url)


def test_without_key_and_base_there_is_no_airtable() -> None:
    assert airtable_config(api_key=" ", base_id=None) is None


@pytest.mark.parametrize(
    ("api_key", "base_id", "missing"), [(TOKEN, "", "AIRTABLE_BASE_ID"), (None, BASE, "AIRTABLE_API_KEY")]
)
def test_one_without_the_other_names_the_missing_variable(
    api_key: str | None, base_id: str | None, missing: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{missing} is missing"):
        airtable_config(api_key=api_key, base_id=base_id)


@pytest.mark.parametrize("token", ["pat one", "pat\nX: y", "pät"])
def test_a_token_that_cannot_be_a_header_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ConfigurationError, match="AIRTABLE_API_KEY") as caught:
        airtable_config(api_key=token, base_id=BASE)
    assert token not in str(caught.value)


def test_the_token_is_not_printed_with_the_configuration() -> None:
    assert TOKEN not in repr(config())
