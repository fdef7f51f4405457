(* When Lemma 3.1 fails for two atoms (claim P1): d = K = 2, m = 1, atoms (1,0) and (c,s), s <> 0, a
   sample of value y_1 on the first and one of value y_2 on the second, 0 < y_2 <= y_1, so energies
   e_k = y_k^2 and rho = e_2 / e_1; p = (1 - q, q), q in (0,1), so q is the paper's p_2. L_ND has a
   minimiser that does not minimise L_K if and only if q (1 - (1 - q) rho) <= c^2, that is
   q <= [-(1-rho) + sqrt((1-rho)^2 + 4 rho c^2)] / (2 rho). *)
From Coq Require Import Reals Lra Lia List.
From OSAE Require Import Sums Losses Encoders Statements Rays Instances Eigenvalues.
Import ListNotations.
Open Scope R_scope.

Definition pair_of_samples (c s y1 y2 : R) : mat := columns [[y1; 0]; [y2 * c; y2 * s]].
Definition pair_law (q : R) : vec := entries [1 - q; q].

Lemma pair_law_full_support q : 0 < q < 1 -> full_support 2 (pair_law q).
Proof. intros H. split; [intros k Hk; each k; numbers; lra|numbers; lra]. Qed.

Lemma pair_loss q X D Y : nested_code_loss 2 2 2 (pair_law q) X D Y
  = (1 - q) * code_loss 2 2 X 1 D Y + q * code_loss 2 2 X 2 D Y.
Proof. unfold nested_code_loss, pair_law, entries. simpl. ring. Qed.

(* Both samples on one atom, in slot 1 or in slot 2, or each on its own. *)
Lemma pair_cases c s y1 y2 D Y : 0 < y2 <= y1 -> c * c + s * s = 1 ->
  unit_norm 2 2 D -> sparse_columns 2 2 1 Y ->
  let X := pair_of_samples c s y1 y2 in let e1 := y1 * y1 in let e2 := y2 * y2 in
  let L1 := code_loss 2 2 X 1 D Y in let LK := code_loss 2 2 X 2 D Y in
  (lesser e1 e2 c <= LK /\ (L1 = LK \/ L1 = e1 + e2)) \/
  exists r1 r2, 0 <= r1 /\ 0 <= r2 /\ LK = r1 + r2 /\ (L1 = r1 + e2 \/ L1 = e1 + r2).
Proof.
  intros H N U S X e1 e2 L1 LK.
  destruct (eigenvalues e1 e2 c s) as [Sm _]; [unfold e1, e2; split; nra|auto|].
  assert (One : forall a b u v, a * a + b * b = 1 -> lesser e1 e2 c <=
    (y1 - a * u) * (y1 - a * u) + (0 - b * u) * (0 - b * u)
    + ((y2 * c - a * v) * (y2 * c - a * v) + (y2 * s - b * v) * (y2 * s - b * v))).
  { intros a b u v Nab. pose proof (explained_at_most a b c s y1 y2 H N Nab) as B.
    fold e1 e2 in B.
    assert (Nu : u * u * (a * a + b * b) = u * u) by (rewrite Nab; ring).
    assert (Nv : v * v * (a * a + b * b) = v * v) by (rewrite Nab; ring).
    assert (Ny : y2 * y2 * (c * c + s * s) = e2) by (rewrite N; unfold e2; ring).
    pose proof (Rle_0_sqr (u - y1 * a)).
    pose proof (Rle_0_sqr (v - (y2 * c * a + y2 * s * b))). unfold Rsqr in *.
    unfold e1 in *. lra. }
  pose proof (unit_in_the_plane 2 D 0 U ltac:(lia)) as N0.
  pose proof (unit_in_the_plane 2 D 1 U ltac:(lia)) as N1.
  assert (Ny : y2 * c * (y2 * c) + y2 * s * (y2 * s) = e2)
    by (replace (y2 * c * (y2 * c) + y2 * s * (y2 * s)) with (y2 * y2 * (c * c + s * s)) by ring;
        rewrite N; unfold e2; ring).
  unfold L1, LK, X. assert (D1 : e1 = y1 * y1) by reflexivity.
  set (mu := lesser e1 e2 c) in *. clearbody mu e1 e2. clear Sm L1 LK X.
  destruct (one_code_or_the_other Y 0 (S 0%nat ltac:(lia))) as [E0|E0],
           (one_code_or_the_other Y 1 (S 1%nat ltac:(lia))) as [E1|E1].
  - left. pose proof (One _ _ (Y 1%nat 0%nat) (Y 1%nat 1%nat) N1) as B.
    numbers. rewrite E0, E1. split; [|right]; lra.
  - right. exists ((y1 - D 0%nat 1%nat * Y 1%nat 0%nat) * (y1 - D 0%nat 1%nat * Y 1%nat 0%nat)
      + (D 1%nat 1%nat * Y 1%nat 0%nat) * (D 1%nat 1%nat * Y 1%nat 0%nat)).
    exists ((y2 * c - D 0%nat 0%nat * Y 0%nat 1%nat) * (y2 * c - D 0%nat 0%nat * Y 0%nat 1%nat)
      + (y2 * s - D 1%nat 0%nat * Y 0%nat 1%nat) * (y2 * s - D 1%nat 0%nat * Y 0%nat 1%nat)).
    do 2 (split; [apply Rplus_le_le_0_compat; apply Rle_0_sqr|]). numbers. rewrite E0, E1. split;
      [ring|right; rewrite D1; ring].
  - right. exists ((y1 - D 0%nat 0%nat * Y 0%nat 0%nat) * (y1 - D 0%nat 0%nat * Y 0%nat 0%nat)
      + (D 1%nat 0%nat * Y 0%nat 0%nat) * (D 1%nat 0%nat * Y 0%nat 0%nat)).
    exists ((y2 * c - D 0%nat 1%nat * Y 1%nat 1%nat) * (y2 * c - D 0%nat 1%nat * Y 1%nat 1%nat)
      + (y2 * s - D 1%nat 1%nat * Y 1%nat 1%nat) * (y2 * s - D 1%nat 1%nat * Y 1%nat 1%nat)).
    do 2 (split; [apply Rplus_le_le_0_compat; apply Rle_0_sqr|]). numbers. rewrite E0, E1. split;
      [ring|left; lra].
  - left. pose proof (One _ _ (Y 0%nat 0%nat) (Y 0%nat 1%nat) N0) as B.
    numbers. rewrite E0, E1. split; [|left]; lra.
Qed.

(* The truth: one atom for each sample. *)
Definition pair_atoms (c s : R) : mat := columns [[1; 0]; [c; s]].
Definition pair_codes (y1 y2 : R) : mat := columns [[y1; 0]; [0; y2]].

Lemma pair_consistent c s y1 y2 Z : 0 < y1 -> 0 < y2 -> s <> 0 ->
  consistent 2 2 2 (pair_of_samples c s y1 y2) Z.
Proof.
  intros P1 P2 Hs n n' Hn Hn' H j _. pose proof (H 1%nat ltac:(lia)) as B. revert B.
  assert (y2 * s <> 0) by (apply Rmult_integral_contrapositive_currified; lra).
  each n; each n'; auto; numbers; intros; exfalso; lra.
Qed.

Lemma pair_codes_sparse y1 y2 : sparse_columns 2 2 1 (pair_codes y1 y2).
Proof.
  intros n Hn. exists [n]. split; auto. intros j Hj H. left.
  revert H; each j; each n; numbers; auto; lra.
Qed.

Lemma pair_atoms_unit c s : c * c + s * s = 1 -> unit_norm 2 2 (pair_atoms c s).
Proof. intros N j Hj; each j; numbers; lra. Qed.

Theorem lemma_3_1_fails_for_two_atoms_iff c s y1 y2 q :
  c * c + s * s = 1 -> s <> 0 -> 0 < y2 <= y1 -> 0 < q < 1 ->
  let X := pair_of_samples c s y1 y2 in let rho := (y2 * y2) / (y1 * y1) in
  (exists D E, minimises 2 2 (nested_loss 2 2 2 1 (pair_law q) X) D E /\
               ~ minimises 2 2 (full_loss 2 2 2 1 X) D E)
  <-> q * (1 - (1 - q) * rho) <= c * c.
Proof.
  intros N Hs H Hq X rho. assert (He : 0 < y2 * y2 <= y1 * y1) by (split; nra).
  unfold rho. rewrite (condition_by_eigenvalue (y1 * y1) (y2 * y2) c s q He N Hq).
  set (e1 := y1 * y1) in *. set (e2 := y2 * y2) in *.
  assert (Cs : forall Z, consistent 2 2 2 X Z) by (intros; apply pair_consistent; auto; lra).
  destruct (encoder_of_codes 2 2 2 1 X (pair_codes y1 y2) (pair_codes_sparse y1 y2) (Cs _))
    as [Et [Het [_ Ht]]].
  assert (TK : code_loss 2 2 X 2 (pair_atoms c s) (pair_codes y1 y2) = 0)
    by (unfold X; numbers; ring).
  assert (T1 : code_loss 2 2 X 1 (pair_atoms c s) (pair_codes y1 y2) = e2).
  { transitivity (y2 * y2 * (c * c + s * s)); [unfold X; numbers; ring|].
    rewrite N. unfold e2. ring. }
  split.
  - (* If merging costs more, the samples are apart, without a residual. *)
    intros [D [E [M NM]]]. apply Rnot_lt_le. intros L. apply NM. clear NM.
    destruct M as [[U HE] M]. split; [split; auto|]. intros D' E' _ _.
    assert (Z : code_loss 2 2 X 2 D (codes 2 1 X E) = 0).
    { specialize (M _ Et (pair_atoms_unit c s N) Het). rewrite !nested_loss_of_codes in M.
      rewrite (nested_code_loss_ext 2 2 2 (pair_law q) X (pair_atoms c s) _ (pair_codes y1 y2) Ht)
        in M.
      rewrite !pair_loss, TK, T1 in M.
      pose proof (pair_cases c s y1 y2 D (codes 2 1 X E) H N U (codes_sparse 2 2 1 X E)) as PC.
      cbv zeta in PC. fold X e1 e2 in PC.
      destruct PC as [[B [C|C]]|[r1 [r2 [R1 [R2 [K [C|C]]]]]]].
      - rewrite C in M. lra.
      - pose proof (eigenvalues e1 e2 c s He N) as [Sm [_ [_ Ge]]]. rewrite C in M.
        set (LK := code_loss 2 2 X 2 D (codes 2 1 X E)) in *.
        assert (q * lesser e1 e2 c <= q * LK) by (apply Rmult_le_compat_l; lra). nra.
      - rewrite C, K in M. assert (0 <= q * r2) by nra. rewrite K. nra.
      - rewrite C, K in M. assert (0 <= q * r1) by nra. rewrite K. nra. }
    unfold full_loss, prefix_loss. rewrite Z. apply code_loss_nonneg.
  - (* Otherwise both on the leading direction is a minimiser, with a residual. *)
    intros L.
    assert (Hc : c <> 0).
    { intros ->. pose proof (proj2 (condition_by_eigenvalue e1 e2 0 s q He N Hq) L) as C.
      assert (0 < e2 / e1 <= 1).
      { split; [apply Rdiv_lt_0_compat; lra|]. apply Rmult_le_reg_r with e1; [lra|].
        unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
      assert (0 < 1 - (1 - q) * (e2 / e1)) by nra. nra. }
    destruct (explained_attained c s y1 y2 H N Hc Hs) as [a [b [Nab V]]]. fold e1 e2 in V.
    destruct (eigenvalues e1 e2 c s He N) as [Sm [Pr [Le Ge]]].
    set (D := columns [[a; b]; [1; 0]]).
    set (Y := columns [[y1 * a; 0]; [y2 * c * a + y2 * s * b; 0]]).
    assert (Both : code_loss 2 2 X 1 D Y = lesser e1 e2 c /\
      code_loss 2 2 X 2 D Y = lesser e1 e2 c).
    { assert (F : lesser e1 e2 c = e1 + e2 * (c * c + s * s)
        - (2 - (a * a + b * b)) * (y1 * a * (y1 * a)
          + (y2 * c * a + y2 * s * b) * (y2 * c * a + y2 * s * b)))
        by (rewrite N, Nab; lra).
      rewrite F. unfold X, D, Y, e1, e2. split; numbers; ring. }
    destruct Both as [B1 BK].
    destruct (minimiser_of_codes 2 2 2 1 (pair_law q) X D Y) as [E [M [_ HY]]]; auto.
    + intros j Hj; unfold D; each j; numbers; lra.
    + intros n Hn. exists [0%nat]. split; auto. intros j Hj Nz. left.
      revert Nz; unfold Y; each j; each n; numbers; auto; lra.
    + intros D' Y' U' S'. rewrite !pair_loss, B1, BK.
      pose proof (pair_cases c s y1 y2 D' Y' H N U' S') as PC. cbv zeta in PC. fold X e1 e2 in PC.
      destruct PC as [[B [C|C]]|[r1 [r2 [R1 [R2 [K [C|C]]]]]]].
      * rewrite C. lra.
      * rewrite C. set (LK := code_loss 2 2 X 2 D' Y') in *.
        assert (q * lesser e1 e2 c <= q * LK) by (apply Rmult_le_compat_l; lra). nra.
      * rewrite C, K. assert (0 <= q * r2) by nra. nra.
      * rewrite C, K. assert (0 <= q * r1) by nra. nra.
    + exists D, E. split; auto. intros [_ MK]. specialize (MK _ Et (pair_atoms_unit c s N) Het).
      rewrite (full_loss_of_codes 2 2 2 1 X D Y E HY) in MK.
      rewrite (full_loss_of_codes 2 2 2 1 X _ _ Et Ht), TK, BK in MK.
      assert (0 < s * s) by nra. assert (0 < e1 * e2) by nra.
      assert (0 < e1 * e2 * (s * s)) by (apply Rmult_lt_0_compat; auto). nra.
Qed.

(* The same as a bound on q. *)
Theorem condition_as_a_threshold q rho c : 0 < rho <= 1 -> 0 < q ->
  q * (1 - (1 - q) * rho) <= c * c <->
  q <= (- (1 - rho) + sqrt ((1 - rho) * (1 - rho) + 4 * rho * (c * c))) / (2 * rho).
Proof.
  intros Hr Hq.
  assert (P : 0 <= (1 - rho) * (1 - rho) + 4 * rho * (c * c)) by nra.
  pose proof (sqrt_sqrt _ P) as S. pose proof (sqrt_pos ((1 - rho) * (1 - rho)
    + 4 * rho * (c * c))).
  set (r := sqrt _) in *.
  assert (E : 4 * rho * (q * (1 - (1 - q) * rho) - c * c)
    = (2 * rho * q + (1 - rho)) * (2 * rho * q + (1 - rho)) - r * r) by (rewrite S; ring).
  assert (Q : q <= (- (1 - rho) + r) / (2 * rho) <-> 2 * rho * q + (1 - rho) <= r).
  { split; intros B.
    - apply (Rmult_le_compat_l (2 * rho)) in B; [|lra].
      replace (2 * rho * ((- (1 - rho) + r) / (2 * rho))) with (- (1 - rho) + r) in B by (field;
        lra).
      lra.
    - apply Rmult_le_reg_l with (2 * rho); [lra|].
      replace (2 * rho * ((- (1 - rho) + r) / (2 * rho))) with (- (1 - rho) + r) by (field; lra).
      lra. }
  rewrite Q. assert (0 <= 2 * rho * q + (1 - rho)) by nra. split; intros B.
  - apply Rsqr_incr_0_var; auto. unfold Rsqr. nra.
  - assert ((2 * rho * q + (1 - rho)) * (2 * rho * q + (1 - rho)) <= r * r)
      by (apply Rmult_le_compat; auto). nra.
Qed.
