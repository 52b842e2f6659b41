"""The pages: server-rendered, and built on the functions that the JSON API uses. One module per screen.

They work without scripts; htmx replaces parts of them where scripts run. Every address answers with the whole page or,
where htmx asks for a known element, with that element. A form ends in 303, or shows itself again with what is wrong.
"""
