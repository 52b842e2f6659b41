"""The look at a whole portfolio: what is wrong with each work, which repeat one another, which styles there are."""
