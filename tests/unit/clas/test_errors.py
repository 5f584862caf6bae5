from clas import errors

CLASSES = [found for found in vars(errors).values() if isinstance(found, type)]


def test_all_errors_are_of_one_tree_and_are_drawn_in_its_docstring() -> None:
    assert all(issubclass(found, errors.ClasError) for found in CLASSES)
    drawn = errors.__doc__ or ""
    assert all(found.__name__ in drawn for found in CLASSES)


def test_every_error_says_when_it_is_raised() -> None:
    for found in CLASSES[1:]:
        assert (found.__doc__ or "").startswith("Raised "), found


def test_a_users_mistake_and_a_failure_of_ours_have_different_http_codes() -> None:
    assert errors.ImageError.http_status == errors.RequestError.http_status == 400
    assert errors.PredictionError.http_status == errors.StartupError.http_status == 500
    assert errors.ClasError.status == errors.ImageError.status == "101"
