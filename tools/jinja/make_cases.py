#!/usr/bin/env python3
"""Writes tests/jinja_cases.jsonl, on standard output: small templates and what Jinja itself makes of them, set up as Hugging Face's
transformers does it (needs python3-jinja2, 3.1).

    tools/jinja/make_cases.py > tests/jinja_cases.jsonl

The first line has the variables of all templates. Each other line is an object with a template, and with its text or
an error: a part of the message that every implementation should have, or "" if messages may differ.
"""
import json

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "n": 7, "big": 123456789012345678901234567890, "x": 2.5, "t": True, "nothing": None, "s": "Hello, World", "u": "Grüße 日本 🦙",
    "e": "", "l": [3, 1, 2], "w": ["b", "a", "C"], "d": {"b": 1, "a": [1, 2], "items": "mine"}, "m": [
        {"role": "user", "content": "Hi", "n": 1}, {"role": "assistant", "content": None, "n": 2}, {"role": "user", "n": 3}],
    "html": "<b>&\"'", "lines": "one\ntwo\n\nthree\n", "pad": "  \t x y \n ", "nested": {"a": {"b": [{"c": "deep"}]}},
}

TEMPLATES = r"""
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** 0.5 }} {{ 2 ** -1 }}
{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 1e3 }} {{ 1.0 }} {{ 1e16 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }}
{{ 10 / 4 }} {{ 10 / 5 }} {{ 3 * 'ab' }} {{ 'ab' * 0 }} {{ [1] * 3 }} {{ [1] + [2] }} {{ (1, 2) + (3,) }} {{ true + true }}
{{ big }} {{ big == big }} {{ big|string }} {{ [big] }} {{ big|tojson }}
{{ n }} {{ x }} {{ t }} {{ nothing }} {{ missing }} {{ missing.x is defined }}
{{ missing is undefined }} {{ missing|default('d') }} {{ e|default('d') }} {{ e|default('d', true) }} {{ nothing|d('x', boolean=true) }}
{{ 'a' ~ 1 ~ none ~ missing ~ [1, 'b'] ~ 1.5 }}
{{ n[1:] }}
{{ d[1:] }}
{{ nothing[1:] is defined }}
{{ 'ß'|title }} {{ 'ß'.title() }} {{ true|abs }} {{ big|abs }} {{ w is lower }} {{ 'a-b c_d'|wordcount }} {{ d|urlencode }} {{ 'x' % [1] }} {{ 0|select|list }} {{ n|map('string')|list if false else 1 }}
{{ n|indent }}
{{ m|unique|list }}
{{ 1 if t else 2 }} {{ 1 if not t }}|{{ (1 if false) is undefined }} {{ 1 if false else 2 if false else 3 }}
{{ t and n }} {{ e or 'x' }} {{ not e }} {{ e and n }} {{ none or missing }} {{ 0 or '' or [] }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1, 2) == (1, 2) }} {{ [1] == (1,) }}
{{ 'ell' in s }} {{ 3 in l }} {{ 'b' in d }} {{ 4 not in l }} {{ 'x' in missing }} {{ none in [none] }} {{ not 3 in l }}
{{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ s[:-3] }} {{ s[50:] }}| {{ s[99] }}| {{ u[0:7] }} {{ u[-1] }} {{ u[::-1] }}
{{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[::-1] }} {{ l[9] }}| {{ l[:2] }} {{ l[::2] }} {{ l[2:0:-1] }} {{ l[-2:] }} {{ l[:99] }}
{{ d.b }} {{ d['a'] }} {{ d.a[1] }} {{ d['items'] }} {{ d.items() }} {{ d.keys()|list }} {{ d.values()|list }} {{ d.get('b') }} {{ d.get('z', 5) }} {{ d.get('z') }}
{{ d }} {{ l }} {{ (1,) }} {{ () }} {{ {} }} {{ {'a': none, 1: 'x', 'q': "it's"} }} {{ ['"', "'", '\n', '\\'] }}
{{ nested.a.b[0].c }} {{ nested['a']['b'][0]['c'] }} {{ nested.a.b.0.c }}
{{ missing.x }}
{{ d.zzz.y }}
{{ l[99].x }}
{{ none.x }}|{{ none.x.y }}
{{ missing() }}
{{ n() }}
{{ 1 + 'a' }}
{{ 'a' + 1 }}
{{ [1] + 'a' }}
{{ missing + 1 }}
{{ 'a' + missing }}
{{ 1 < 'a' }}
{{ 1 in 5 }}
{{ 1 in 'abc' }}
{{ 1 / 0 }}
{{ 1 % 0 }}
{{ n|length }}
{{ -'a' }}
{{ l.append(1) }}
{{ d.update({}) }}
{% set _ = l.pop() %}
{{ raise_exception('no good') }}
{{ s|nofilter }}
{{ s is notest }}
{% if false %}{{ s|nofilter }}{% endif %}ok
{% for i in 5 %}{% endfor %}
{% for i in none %}{% endfor %}
{% for i in missing %}x{% else %}none{% endfor %}
{{ s|lower }} {{ s|upper }} {{ 'hELLO wORLD-foo bar'|title }} {{ 'hELLO'|capitalize }} {{ u|upper }} {{ u|lower }} {{ 'straße'|upper }} {{ 'ÀÉ'|lower }}
{{ pad|trim }}| {{ 'xxaxx'|trim('x') }} {{ s|length }} {{ u|length }} {{ l|count }} {{ d|length }} {{ missing|length }}
{{ l|first }} {{ l|last }} {{ s|first }} {{ []|first }}| {{ l|sum }} {{ l|max }} {{ l|min }} {{ []|max }}| {{ m|sum('n') }} {{ m|sum(attribute='n', start=10) }}
{{ l|sort }} {{ l|sort(reverse=true) }} {{ w|sort }} {{ w|sort(case_sensitive=true) }} {{ m|sort(attribute='n', reverse=true)|map(attribute='n')|list }}
{{ l|join(', ') }} {{ l|join }} {{ m|join(',', attribute='role') }} {{ 'abc'|join('-') }} {{ [1, none, 'x']|join('|') }}
{{ l|reverse|list }} {{ s|reverse }} {{ l|list }} {{ 'abc'|list }} {{ d|list }} {{ (1, 2)|list }} {{ range(3)|list }}
{{ m|map(attribute='role')|list }} {{ w|map('upper')|list }} {{ m|map(attribute='content', default='-')|list }} {{ [1, 2]|map('string')|join('+') }}
{{ m|selectattr('role', 'equalto', 'user')|list|length }} {{ m|selectattr('content')|list|length }} {{ m|rejectattr('role', 'eq', 'user')|map(attribute='n')|list }} {{ m|selectattr('content', 'defined')|list|length }}
{{ l|select('odd')|list }} {{ l|reject('gt', 1)|list }} {{ [0, 1, '', 'a']|select|list }} {{ l|select('in', [1, 2])|list }}
{{ w|unique|list }} {{ ['a', 'A', 'b']|unique|list }} {{ ['a', 'A', 'b']|unique(true)|list }}
{% for role, items in m|groupby('role') %}{{ role }}:{{ items|length }} {% endfor %}{{ (m|groupby('role'))[0].grouper }}
{{ d|dictsort }} {{ {'b': 1, 'A': 2}|dictsort(false, 'value') }} {{ {'b': 1, 'A': 2}|dictsort(true) }}
{{ [1, 2, 3, 4, 5]|batch(2)|list }} {{ [1, 2, 3]|batch(2, 0)|list }} {{ [1, 2, 3, 4, 5]|slice(2)|list }} {{ [1, 2, 3]|slice(2, 'x')|list }}
{{ '42'|int }} {{ 'x'|int }} {{ 'x'|int(5) }} {{ 3.9|int }} {{ '3.9'|int }} {{ '0x1f'|int(0, 16) }} {{ true|int }} {{ none|int }} {{ '1.5'|float }} {{ 'q'|float }} {{ 3|float }}
{{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(0, 'ceil') }} {{ 2.9|round(method='floor') }} {{ 1234|round(-2) }} {{ -3|abs }} {{ 2.5|abs }}
{{ '12'|int(0, 99) }} {{ '12'|int(0, 1) }} {{ 'zz'|int(7, -36) }} {{ 'ff'|int(5, 99) }} {{ 'zz'|int(0, 36) }} {{ 'abc'|int(0, 4294967306) }} {{ '9223372036854775807'|int }} {{ '-8000000000000000'|int(0, 16) }} {{ '9.21e18'|int }} {{ 'inf'|int(3) }} {{ '1e400'|int(3) }} {{ '+99999999999999999999'|float }} {{ '-99999999999999999999'|float }}
{{ 9223372036854775807|round(-18) }} {{ 9223372036854775807|round(-20) }} {{ 9223372036854775807|round(-300) }} {{ 123456789123456789|round(-1) }} {{ 15|round(-1) }} {{ 25|round(-1) }} {{ -15|round(-1) }} {{ 5|round(-1) }} {{ 6|round(-1) }} {{ (-9223372036854775807 - 1)|round(-2) }} {{ true|round(-1) }} {{ 5|round(-19) }} {{ 15.0|round(-1) }}
{{ 'abcdef'[::9223372036854775807] }} {{ 'abcdef'[::-9223372036854775807] }} {{ 'abcdef'[::-9223372036854775807 - 1] }} {{ [1, 2, 3][1::-9223372036854775807 - 1] }} {{ [1, 2, 3][2::9223372036854775807] }} {{ [1, 2, 3, 4, 5][::-2] }} {{ range(-9000000000000000000, 9000000000000000000, 7000000000000000000)|list }} {{ 'x'|center(-9223372036854775807 - 1) }} {{ '-5'.zfill(-9223372036854775807 - 1) }} {{ '-5'.zfill(4) }} {{ '+'.zfill(1) }} {{ [1]|truncate(9223372036854775807) }} {{ 'hello'|truncate(9223372036854775807, leeway=9223372036854775807) }}
{{ s|replace('o', '0') }} {{ s|replace('o', '0', 1) }} {{ 'aaa'|replace('a', 'b', 2) }} {{ s.replace('l', '') }} {{ 'abc'.replace('', '-') }}
{{ html|e }} {{ html|escape }} {{ html|safe }} {{ (html|safe) + '<' }} {{ (html|safe) ~ '<' }} {{ '<' + (html|safe) }} {{ html|forceescape }}
{{ 'a b c'.split() }} {{ 'a,b,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ '  a  b '.split() }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a b c d'.split(None, 2) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b c '.rsplit(None, 1) }}
{{ lines.splitlines() }} {{ lines.splitlines(true) }} {{ 'a\r\nb\rc'.splitlines() }} {{ lines|indent }} {{ lines|indent(2, true) }} {{ lines|indent(2, blank=true) }} {{ lines|indent('> ') }}
{{ pad.strip() }}| {{ pad.lstrip() }}| {{ pad.rstrip() }}| {{ 'xyaxy'.strip('xy') }} {{ 'abc'.lstrip('ab') }} {{ 'abc'.rstrip('c') }}
{{ s.startswith('Hell') }} {{ s.endswith('d') }} {{ s.startswith(('x', 'H')) }} {{ s.endswith(('x', 'y')) }} {{ s.startswith('ello', 1) }} {{ s.find('o') }} {{ s.find('zz') }} {{ s.rfind('o') }} {{ u.find('日') }} {{ s.count('l') }} {{ s.index('W') }}
{{ 'abc'.find('', 5) }} {{ 'abc'.find('', 3) }} {{ 'abc'.rfind('', 5) }} {{ 'abc'.find('', 2, 1) }} {{ 'abc'.find('', -5) }} {{ 'abc'.find('', -1) }} {{ 'abc'.rfind('') }} {{ 'abc'.find('', 1, -1) }} {{ 'abc'.find('', 0, -9) }} {{ 'abc'.find('c', 0, 99) }} {{ ''.find('', 0) }} {{ ''.find('', 1) }}
{{ 'abc'.count('', 5) }} {{ 'abc'.count('', 3) }} {{ 'abc'.count('', 2, 1) }} {{ 'abc'.startswith('', 5) }} {{ 'abc'.startswith('', 3) }} {{ 'abc'.endswith('', 2, 1) }} {{ 'abc'.startswith('', -9, -9) }}
{{ 'abc'.index('', 5) }}
{{ 'abc'.upper() }} {{ 'ABC'.lower() }} {{ 'hello wORLD'.title() }} {{ 'hello WORLD'.capitalize() }} {{ 'aBc'.swapcase() }} {{ "they're bill's".title() }}
{{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab'.islower() }} {{ ''.isdigit() }} {{ 'é'.isalpha() }} {{ 'Ab'.istitle() }}
{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('x') }} {{ 'abc'.rpartition('x') }} {{ 'abcab'.removeprefix('ab') }} {{ 'abcab'.removesuffix('ab') }}
{{ 'a'.ljust(3) }}| {{ 'a'.rjust(3, '*') }} {{ 'ab'.center(5, '-') }} {{ 'abc'.center(6, '-') }} {{ '5'.zfill(3) }} {{ '-5'.zfill(4) }} {{ 'x'|center(5) }}|
{{ ','.join(['a', 'b']) }} {{ ', '.join(w|map('lower')) }}
{{ ','.join([1]) }}
{{ '%s is %d and %.2f %5s|%-5s| %x %%' % ('a', 3, 2.5, 'r', 'l', 255) }} {{ '%s' % 'one' }} {{ '%(a)s' % {'a': 1} }} {{ '%05d %+d %r' % (42, 5, 'q') }} {{ 'Hi %s'|format('you') }}
{{ '%s %s' % ('a',) }}
{{ '%d' % 'a' }}
{{ '{} {}'.format(1, 'b') }} {{ '{1} {0}'.format('a', 'b') }} {{ '{x}!'.format(x=3) }} {{ '{{}}'.format() }}
{{ d|tojson }} {{ u|tojson }} {{ html|tojson }} {{ [1.0, none, true]|tojson }} {{ {'k': (1, 2)}|tojson }} {{ {1: 2, none: 3, true: 4, 1.5: 5}|tojson }}
{{ d|tojson(indent=2) }} {{ {}|tojson(indent=2) }} {{ [[]]|tojson(indent=4) }} {{ d|tojson(separators=(',', ':')) }} {{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ u|tojson(ensure_ascii=true) }} {{ '\x01\x7f\n\t"\\/'|tojson }}
{{ missing|tojson }}
{{ l|map('string')|tojson }}
{{ 'hello world foo'|truncate(11) }} {{ 'hello world foo bar'|truncate(9, true) }} {{ 'hello world foo bar'|truncate(9, false, '…', 0) }} {{ 'a b  c'|wordcount }} {{ 'a b/ü?'|urlencode }} {{ '<p>Hi  <b>x</b></p>'|striptags }}
{{ n is number }} {{ x is float }} {{ n is integer }} {{ t is integer }} {{ t is number }} {{ t is boolean }} {{ s is string }} {{ d is mapping }} {{ l is sequence }} {{ s is iterable }} {{ none is none }} {{ missing is none }} {{ t is true }} {{ t is false }} {{ n is odd }} {{ n is even }} {{ 9 is divisibleby 3 }}
{{ missing is iterable }} {{ missing is sequence }} {{ missing is string }} {{ missing is mapping }} {{ n is iterable }} {{ (l|map('string')) is sequence }} {{ (l|map('string')) is iterable }} {{ range is callable }} {{ s is lower }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'upper' is filter }} {{ 'odd' is test }}
{{ 1 is eq 1 }} {{ 1 is ne 2 }} {{ 2 is gt 1 }} {{ 2 is ge(2) }} {{ 1 is lt 2 }} {{ 1 is le 1 }} {{ 1 is in [1] }} {{ 1 is not in [1] }} {{ none is sameas none }} {{ s is not string }} {{ n is not none and s is string }} {{ 1 is sameas true }}
{% if l|select('gt', 99) %}always true{% endif %} {% if l|select('gt', 99)|list %}no{% else %}empty{% endif %}
{% set g = l|map('string') %}{{ g|list }} {{ g|list }}
{% for x in l %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.first }}/{{ loop.last }}/{{ loop.length }}/{{ loop.depth }} {% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}{% for x in [1, 1, 2] %}{{ loop.changed(x) }} {% endfor %}{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for x in l if x > 1 %}{{ x }}{{ loop.length }} {% else %}none{% endfor %}{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'añb' %}[{{ c }}]{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %} {% for x in range(10) %}{% if x == 3 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in [1, 2] %}{% for y in [] %}{% else %}{% break %}{% endfor %}{{ x }}{% endfor %}end
{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}@{{ loop.depth0 }}{% endif %}{% endfor %}
{% set a = 1 %}{% for x in l %}{% set a = a + x %}{{ a }} {% endfor %}{{ a }} {% if t %}{% set a = 9 %}{% endif %}{{ a }}
{% set ns = namespace(c=0, d='q') %}{% for x in l %}{% set ns.c = ns.c + x %}{% endfor %}{{ ns.c }}{{ ns.d }} {{ ns.zz is defined }} {% set ns.new = 3 %}{{ ns.new }}
{% set q = 5 %}{% set q.x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set c = 1, 2 %}{{ c }} {% set f %}text {{ n }}{% endset %}[{{ f }}] {% set f | upper | replace('X', 'y') %}text{% endset %}{{ f }}
{% macro f(a, b=2, c='x') %}<{{ a }},{{ b }},{{ c }}>{% endmacro %}{{ f(1) }}{{ f(1, c=3) }}{{ f(b=5, a=4) }}{{ f() }}{{ f(1, 2, 3, 4) }}
{% macro f(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, 3, k=4) }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(5) }}
{% macro f() %}{{ later }}{% endmacro %}{% set later = 'set after' %}{{ f() }} {% macro g() %}{% set inner = 1 %}{% endmacro %}{{ g() }}{{ inner is defined }}
{% macro f(title) %}[{{ title }}:{{ caller() }}]{% endmacro %}{% call f('T') %}body {{ n }}{% endcall %} {% macro each(items) %}{% for i in items %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) each(l) %}<{{ i }}>{% endcall %}
{% macro f(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ f(*[1, 2]) }}{{ f(**{'a': 3, 'b': 4}) }}
{% macro f(x=n) %}{{ x }}{% endmacro %}{{ f() }} {% macro g(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ g(3) }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set c = 4 %}{% endwith %}{{ a is defined }}{{ c is defined }}
{% filter upper %}text {{ s }}{% endfilter %} {% filter replace('a', 'b') | upper %}banana{% endfilter %}
{% generation %}gen {{ n }}{% endgeneration %} {% block name %}in block{% endblock %} {% block b2 %}x{% endblock b2 %}
{% raw %}{{ not this }} {% nor this %}{% endraw %} {%- raw -%}  {{ x }}  {%- endraw -%}  end
a {#- comment -#} b {# keep #} c{# x
y #} d
  {% if t %}
  indented
  {% endif %}
after
{% if t -%}   stripped   {%- endif %}   |
  {%+ if t %}plus{% endif +%}
x
{{- ' a' }} b {{ 'c' -}}  d
line {%- if t %} x {% endif -%} y
	{% if t %}tab{% endif %}	
{% if false %}1{% elif n == 7 %}2{% elif t %}3{% else %}4{% endif %}{% if false %}1{% elif false %}2{% else %}4{% endif %}
{{ "a" "b" 'c' }} {{ 'tab\there' }} {{ 'q\'q' }} {{ "\u00e9\x41\101" }} {{ '\q' }} {{ 'a\\nb' }}
{{ {'a': {'b': 1}}['a']['b'] }} {{ {'a': 1}.a }} {{ [[1, 2], [3]][0][1] }} {{ (1, 2)[1] }} {{ 'abc'[1] }} {{ {'x': [1, 2]}.x[-1] }}
{{ range(3) }} {{ range(2, 8, 3)|list }} {{ range(5, 0, -2)|list }} {{ range(3)[1] }} {{ range(0)|list }} {{ range(10)|length }} {{ 3 in range(5) }}
{{ range(1000000) }}
{{ dict(a=1, b='x') }} {{ dict([('k', 'v')]) }} {{ dict({'a': 1}, b=2) }} {% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }} {% set j = joiner('; ') %}{{ j() }}1{{ j() }}2{{ j() }}3
{{ (n, s) }} {{ [none, true, 1.5, 'x', missing] }} {{ [1, [2, {'a': (3,)}]] }} {{ 'é\u200b\x00' }}{{ ['é\u200b\x00\x7f'] }}
{{ m|map(attribute='content.x')|list }} {{ [[1, 2], [3, 4]]|map(attribute=0)|list }} {{ m|map('attr', 'zz')|list|length }} {{ s|attr('upper')() }}
{{ l|sort|first }} {{ (l|sort)[0] }} {{ l|length > 2 }} {{ l|length == 3 and t }} {{ -n|abs }} {{ -3|abs }} {{ 2 * n|string|length }} {{ not n is odd }} {{ 'a' if n is odd else 'b' }}
{{ [1, 2, 3]|sum / 3 }} {{ 'x' in s|lower }} {{ 1 + 1 ~ 'x' }} {{ 'a' ~ 'b' * 2 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 10 - 2 - 3 }} {{ 100 / 10 / 2 }}
{{ strftime_now('%Y-%m-%d %H:%M') }} {{ strftime_now('%d %b %Y') }}
{{ d.items()|list|length }} {% for k, v in d|items %}{{ k }}{% endfor %} {{ missing|items|list }} {% for k, v in d|dictsort %}{{ k }}{% endfor %}
{{ l.index(1) }} {{ l.count(3) }} {{ l.copy() }} {{ (1, 2, 2).count(2) }} {{ d.copy() == d }}
{{ l|string ~ s|string }} {{ none|string }} {{ true|string|lower }} {{ 1.0|string }} {{ 'x'|string|length }}
{{ 5 is divisibleby(5) }} {{ s|default }} {{ nothing|default('x') }} {{ nothing|string|default('q') }} {{ (missing or 'fallback')|upper }} {{ missing.a is defined or true }}
{{ 'unclosed }}
{{ 1 + }}
{% if %}x{% endif %}
{% if t %}no end
{% endif %}
{% nosuch %}
{{ a b }}
{{ (1 }}
{{ [1, 2 }}
{% for in l %}{% endfor %}
{% set = 1 %}
{% break %}
{# no end
{% raw %} no end
{{ s.nosuch() }}
{{ s.upper.x }}
{{ n.bit }}|{{ t.x }}
{% include 'x' %}
{% extends 'x' %}
{% import 'x' as y %}
{{ loop.index }}
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% for x in [5] %}{{ m() }}{% endfor %}{{ x }}
{% for x in l %}{% set y = x %}{% endfor %}{{ y is defined }}
{% if n > 5 and (s|length) > 3 or false %}yes{% endif %}{{ (n > 5) ~ (1 == 1) }}
{{ messages|length if messages is defined else 'no messages' }} {{ (m[0].content or '')|trim }} {{ m[1].content is none }} {{ m[2].content is defined }} {{ m[-1]['role'] }} {{ m[0]['content'][0] }}
{% for message in m[::-1] %}{{ (m|length - 1) - loop.index0 }}:{{ message.role }} {% endfor %}{% for message in m[1:] %}{{ message.n }}{% endfor %}
{%- for message in m %}{{ '<|' + message['role'] + '|>' + ((message.content if message.content is string else '') | trim) + '\n' }}{%- endfor %}
{% for x in [] %}{% else %}empty {{ loop is defined }}{% endfor %}
{{ (d.items()|list)[0][0] }} {{ d.items()[0] is defined }} {{ d|first }} {{ (d.values()|list)|first }}
{{ 'A' < 'a' }} {{ 'é' > 'z' }} {{ [1, 'a'] == [1, 'a'] }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ none == missing }} {{ missing == missing2 }} {{ 1 != '1' }}
{% set s = 'a' * 1000000 %}{% for i in range(2000) %}{% if s is defined and s is string and s is not none %}{% endif %}{% endfor %}{{ s is lower }}
{{ '%.1f %e %g %+.0f' % (1e78, 1e78, -1e78, 1e22) }} {{ ('%.1000f' % 1e308)|length }} {{ '%.2f' % true }}
{{ '2024-01-02'|int }} {{ '1.2.3'|float }} {{ '5-3'|int(7) }} {{ '1e5'|int }} {{ '1e'|float }} {{ '.5'|float }} {{ '5.'|float }} {{ ' -1_0.5e-1_0 '|float }} {{ '123456789012345678901234567890'|float }} {{ '-9223372036854775808'|int }}
{{ '0b11'|int(base=2) }} {{ '0o17'|int(0, 8) }} {{ '0x_1F'|int(0, 16) }} {{ '1_000'|int }} {{ '1__0'|int }} {{ '1_'|int }} {{ '_1'|int }} {{ '-0x1f'|int(base=0) }} {{ '010'|int(base=0) }} {{ '00'|int(base=0) }} {{ '0b1'|int(base=16) }} {{ '0x'|int(3, 16) }} {{ '+'|int }} {{ '8'|int(3, 8) }} {{ 'z'|int(0, 36) }} {{ '12'|int(0, 99) }}
{{ 'inf'|float }} {{ 'NaN'|float }} {{ '-Infinity'|float }} {{ 'inf'|int }} {{ 'nan'|int(5) }} {{ 'infinit'|float(2) }} {{ big|float }}
{{ missing|int }}
{{ missing|float }}
{{ (0.0 * -1)|abs }} {{ -1.5|abs }} {{ 5.0|round(-400) }} {{ 1e308|round(-305) }}
{{ 1.0 // 0.1 }} {{ -6.0 % 3 }} {{ 6.0 % -3 }} {{ -1 // 0.3 }} {{ -0.5 // 3 }} {{ 7.5 // -2 }} {{ 0.0 // -3 }} {{ 1e300 // 1e-10 }}
{{ 0 ** -1 }}
{{ 10.0 ** 400 }}
{{ '%x' % 2.5 }}
{{ '%x %X %o %#x %05x' % (255, 255, 8, 255, 255) }}
{{ {(1,2): 3}|tojson }}
{{ 'a\r\nb\n\r\n\nc\rd'|indent }}|{{ 'a\n\nb\n'|indent(2, true, true) }}|{{ ''|indent(2, true) }}|{{ 'a\n'|indent(blank=true) }}|
{{ [{'k': 'CA', 'v': 1}, {'k': 'ca', 'v': 2}, {'k': 'NY'}, {'v': 3}]|groupby('k', default='ny') }}
{{ [{'k': 'CA'}, {'k': 'ca'}]|groupby('k', case_sensitive=true) }}
{% set c = cycler('a', 'b') %}{{ c.current }}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.current }}
{% for x in [1, 1, 2] %}{{ loop.changed(x, 1) }}{% endfor %}
{{ 'abc'.ljust(5, '**') }}
{{ 'é'.center(4, 'ü') }} {{ 'a  b c '.rsplit(none, 1) }} {{ ' é\u2003ü '.rsplit(none, 1) }} {{ 'aXbXc'.rsplit('X', 1) }}
"""


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("write"), [], [], body).set_lineno(line)

    def write(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def raise_exception(message):
        raise TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    import datetime
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime(2026, 1, 2, 3, 4, 5).strftime(f)
    return env


def templates():
    """The templates of one line each, and then those with newlines."""
    for line in TEMPLATES.strip("\n").split("\n"):
        yield line
    yield "  {% if t %}\n  indented\n  {% endif %}\nafter\n"
    yield "a\n  {% for x in l %}\n  {{ x }}\n  {% endfor %}\nb\n\n"
    yield "a\r\nb\rc\n{% if t %}\r\nd{% endif %}"
    yield "{% if t %}\n\nx\n{% endif %}\n\ny"
    yield "x  {%- if t -%}  \n y \n {%- endif -%} \n z"
    yield "  {#- c #}\n  {# d #}\ne"
    yield " \n {%+ if t %}a{%+ endif %} \n"
    yield "{{ 'a' }}\n{{ 'b' }}\n"
    yield "{% raw %}\n a {{ b }}\n{% endraw %}\nc"
    yield "   {% raw %}   x{% endraw %}   \n   {%- raw %} y {% endraw -%}  z"
    yield "{% macro a() %}\n  x\n{% endmacro %}\n{{ a() }}|"
    yield "{% set x %}\n  y\n{% endset %}[{{ x }}]"


def main():
    print(json.dumps({"variables": VARIABLES}, ensure_ascii=False))
    for template in templates():
        try:
            result = {"text": environment().from_string(template).render(**json.loads(json.dumps(VARIABLES)))}
        except Exception as error:  # whatever Jinja or Python raises
            known = ("is undefined", "has no attribute", "unsafe", "no good", "not supported between", "can only concatenate",
                     "unsupported operand", "Range too big", "not iterable", "is not callable")
            result = {"error": str(error) if any(part in str(error) for part in known) and "\n" not in str(error) else ""}
        print(json.dumps({"template": template, **result}, ensure_ascii=False))


main()
