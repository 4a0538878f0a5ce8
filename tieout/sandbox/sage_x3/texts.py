"""What the sandbox says, in the languages it speaks: messages and the labels of local menus.

Our own words, but for the few texts that integrators quote, and which clients may look for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LANGUAGES = ("ENG", "FRA", "POR")

TEXTS: dict[str, tuple[str, str, str]] = {
    "unknown_service": ("Unknown web service ({name})",) * 3,
    "wrong_kind": (
        "Operation {operation} does not apply to web service {name}",
        "L'opération {operation} ne s'applique pas au service {name}",
        "A operação {operation} não se aplica ao serviço {name}",
    ),
    "no_context": (
        "The call context is missing",
        "Le contexte d'appel est absent",
        "Falta o contexto da chamada",
    ),
    "unknown_pool": ("Pool {pool} not found", "Pool {pool} introuvable", "Pool {pool} não encontrado"),
    "pool_full": (
        "No free entry in pool {pool}",
        "Aucune entrée libre dans le pool {pool}",
        "Sem entrada livre no pool {pool}",
    ),
    "lost_session": (
        "Session {id} is not in the pool any more",
        "La session {id} n'est plus dans le pool",
        "A sessão {id} já não está no pool",
    ),
    "language": ("Unknown language {code}", "Langue {code} inconnue", "Língua {code} desconhecida"),
    "malformed": (
        "The parameters are not well-formed: {why}",
        "Paramètres mal formés : {why}",
        "Parâmetros mal formados: {why}",
    ),
    "no_id": ("No attribute ID found into GRP tag.",) * 3,
    "not_a_group": ("Group [{id}] has a dimension greater than 1. You have to use TAB Xml tag.",) * 3,
    "unknown_field_root": ("Cannot add field [FLD] under root node. Field [{name}] not found into X3 description.",)
    * 3,
    "unknown_field": ("Field [{name}] not found in group [{id}] of the X3 description.",) * 3,
    "unknown_group": ("Group [{id}] not found into X3 description.",) * 3,
    "unknown_key": (
        "Key field {name} is not known",
        "Champ clé {name} inconnu",
        "Campo chave {name} desconhecido",
    ),
    "no_key": ("Object key missing: {name}", "Clé d'objet absente : {name}", "Chave de objeto em falta: {name}"),
    "no_record": (
        "{object} {key}: no such record",
        "{object} {key} : fiche inexistante",
        "{object} {key}: registo inexistente",
    ),
    "exists": (
        "{object} {key}: record already exists",
        "{object} {key} : fiche déjà existante",
        "{object} {key}: registo já existente",
    ),
    "missing": ("{name}: mandatory field", "{name} : champ obligatoire", "{name}: campo obrigatório"),
    "too_long": (
        "{name}: longer than {limit} characters",
        "{name} : plus de {limit} caractères",
        "{name}: mais de {limit} caracteres",
    ),
    "not_a_number": (
        "{name}: {value} is not a number",
        "{name} : {value} n'est pas un nombre",
        "{name}: {value} não é um número",
    ),
    "not_a_date": (
        "{name}: {value} is not a date",
        "{name} : {value} n'est pas une date",
        "{name}: {value} não é uma data",
    ),
    "not_in_menu": (
        "{name}: {value} is not in local menu {menu}",
        "{name} : {value} hors du menu local {menu}",
        "{name}: {value} fora do menu local {menu}",
    ),
    "unknown_value": (
        "{name}: {value} does not exist",
        "{name} : {value} n'existe pas",
        "{name}: {value} não existe",
    ),
    "inactive": (
        "Customer {bpr} is not active",
        "Le client {bpr} n'est pas actif",
        "O cliente {bpr} não está ativo",
    ),
    "computed": (
        "{name} is computed and cannot be entered",
        "{name} est calculé et ne se saisit pas",
        "{name} é calculado e não pode ser inserido",
    ),
    "fixed": (
        "{name} cannot be changed any more",
        "{name} n'est plus modifiable",
        "{name} já não pode ser alterado",
    ),
    "closed_period": (
        "{date}: period not open",
        "{date} : période non ouverte",
        "{date}: período não aberto",
    ),
    "posted": (
        "Invoice {num} is posted: no modification possible",
        "Facture {num} comptabilisée : modification impossible",
        "Fatura {num} contabilizada: modificação impossível",
    ),
    "not_posted": (
        "{num} is not posted",
        "{num} n'est pas comptabilisé",
        "{num} não está contabilizado",
    ),
    "matched": (
        "{num} is matched or being paid",
        "{num} est lettré ou en cours de règlement",
        "{num} está reconciliado ou em pagamento",
    ),
    "no_deletion": (
        "{num}: deletion not allowed",
        "{num} : suppression interdite",
        "{num}: eliminação não permitida",
    ),
    "in_use": ("{key} is in use", "{key} est utilisé", "{key} está em uso"),
    "no_lines": ("No line entered", "Aucune ligne saisie", "Nenhuma linha inserida"),
    "no_amount": ("Amount must not be zero", "Le montant doit être non nul", "O montante não pode ser zero"),
    "negative": (
        "{name}: must not be negative",
        "{name} : ne doit pas être négatif",
        "{name}: não pode ser negativo",
    ),
    "precision": (
        "{name}: more decimals than {cur} has",
        "{name} : plus de décimales que {cur}",
        "{name}: mais casas decimais do que {cur}",
    ),
    "no_rate": (
        "No exchange rate {cur}/{home} on {date}",
        "Pas de cours {cur}/{home} au {date}",
        "Sem câmbio {cur}/{home} em {date}",
    ),
    "over_allocated": (
        "{num}: {amount} exceeds the open amount {open}",
        "{num} : {amount} dépasse le solde {open}",
        "{num}: {amount} excede o saldo {open}",
    ),
    "over_total": (
        "The allocations exceed the payment by {amount}",
        "Les imputations dépassent le règlement de {amount}",
        "As imputações excedem o pagamento em {amount}",
    ),
    "wrong_sign": (
        "{num}: the sign of {amount} is wrong",
        "{num} : le signe de {amount} est incorrect",
        "{num}: o sinal de {amount} está errado",
    ),
    "other_company": (
        "{num} belongs to another company",
        "{num} appartient à une autre société",
        "{num} pertence a outra sociedade",
    ),
    "other_currency": (
        "{num} is in {cur}",
        "{num} est en {cur}",
        "{num} está em {cur}",
    ),
    "other_customer": (
        "{num} belongs to another partner",
        "{num} appartient à un autre tiers",
        "{num} pertence a outro terceiro",
    ),
    "unbalanced": (
        "Entry not balanced: {amount}",
        "Pièce non équilibrée : {amount}",
        "Lançamento não equilibrado: {amount}",
    ),
    "duplicate": (
        "Reference already registered in document: {num}",
        "Référence déjà enregistrée dans le document : {num}",
        "Referência já registada no documento: {num}",
    ),
    "changed_since": (
        "{key} has been modified by {user} in the meantime",
        "{key} a été modifié entre-temps par {user}",
        "{key} foi entretanto modificado por {user}",
    ),
    "locked": (
        "Record {key} is being modified by another user",
        "Fiche {key} en cours de modification par un autre utilisateur",
        "Registo {key} em modificação por outro utilizador",
    ),
    "no_action": (
        "Action {code} is not available",
        "Action {code} indisponible",
        "Ação {code} indisponível",
    ),
    "no_template": (
        "Template {name} does not exist",
        "Le modèle {name} n'existe pas",
        "O modelo {name} não existe",
    ),
    "criterion": (
        "Selection criterion not understood: {why}",
        "Critère de sélection incompris : {why}",
        "Critério de seleção não entendido: {why}",
    ),
    "no_request": (
        "Request {number} does not exist",
        "La requête {number} n'existe pas",
        "O pedido {number} não existe",
    ),
    "date_form": (
        "{name}: date {value} taken as day/month/year",
        "{name} : date {value} lue jour/mois/année",
        "{name}: data {value} lida como dia/mês/ano",
    ),
    "attribute_form": ("Attribute NAM taken as NAME",) * 3,
    "done": ("{key}: done", "{key} : effectué", "{key}: efetuado"),
    "check": (
        "Control before registration",
        "Contrôle avant enregistrement",
        "Controlo antes do registo",
    ),
    "login": ("Change login error",) * 3,
    "system": (
        "Error in the program, line 1",
        "Erreur dans le traitement, ligne 1",
        "Erro no tratamento, linha 1",
    ),
}

# Local menus: number -> the labels of 1, 2, 3… by language. A label of "" is an index that is not offered.
MENUS: dict[int, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    1: (("No", "Yes"), ("Non", "Oui"), ("Não", "Sim")),
    243: (("Ex-tax", "Tax incl."), ("HT", "TTC"), ("Sem imposto", "Com imposto")),
    645: (
        ("Invoice", "Credit memo", "Debit note", "Credit note", "Pro-forma"),
        ("Facture", "Avoir", "Note de débit", "Note de crédit", "Pro-forma"),
        ("Fatura", "Nota de crédito", "Nota de débito", "Crédito", "Pró-forma"),
    ),
    689: (
        ("Entered", "In process", "At bank", "Posted at bank", "Cancelled"),
        ("Saisi", "En cours", "En banque", "Comptabilisé banque", "Annulé"),
        ("Inserido", "Em curso", "No banco", "Contabilizado no banco", "Anulado"),
    ),
    6001: (
        ("Not posted", "Being posted", "Posted"),
        ("Non comptabilisée", "En cours", "Comptabilisée"),
        ("Não contabilizada", "Em curso", "Contabilizada"),
    ),
    6002: (("Open", "Closed"), ("Ouverte", "Soldée"), ("Aberta", "Saldada")),
}


def told(key: str, language: str, facts: Mapping[str, Any]) -> str:
    """The message in a language. `template` among the facts replaces the sandbox's own text."""
    template = facts.get("template") or TEXTS[key][LANGUAGES.index(language)]
    out: str = template
    for name, value in facts.items():
        out = out.replace("{" + name + "}", str(value))
    return out


def label(menu: int, index: int, language: str) -> str:
    """The label of a menu's value, "" where it has none."""
    labels = MENUS[menu][LANGUAGES.index(language)]
    return labels[index - 1] if 1 <= index <= len(labels) else ""
