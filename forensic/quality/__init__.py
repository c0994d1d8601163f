"""How good synthesized faces are: images against their targets, and one set of images against another.

``metrics`` names what can be measured, ``pairing`` finds which file belongs to which, ``scoot`` and ``frechet`` are
what no library has as it is needed here, ``gauges`` measures with a model or a library, ``measuring`` does it all.
"""
